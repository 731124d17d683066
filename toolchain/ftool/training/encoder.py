"""Fine-tune encoders with transformers' Trainer: the objective, and the network together with its loss."""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from typing import Any

from torch import Tensor, nn
from transformers import Trainer, TrainingArguments

from ftool.errors import TrainingError
from ftool.recipe.sections import TrainSettings
from ftool.training.batches import EncoderRows
from ftool.training.distillation import Lessons, taught_rows
from ftool.training.loop import Measured, callbacks
from ftool.training.lora import add_adapters, merge_adapters
from ftool.training.objective import SAMPLE, Objective
from ftool_export.checkpoints.encoder import LoadedEncoder, compute_outputs
from ftool_export.networks.encoder import EncoderNetwork
from ftool_runtime.session.encoder_engine import Outputs
from ftool_runtime.text.encode import Tokens

# Computes a batch's loss, float32 (), from its logits, labels and attention mask.
RowLoss = Callable[[Tensor, Tensor, Tensor], Tensor]


class NetworkWithLoss(nn.Module):
    """A network that also computes its loss, as Trainer expects.

    `compute` is the method of the network whose output the loss is of; None for the network's own output. `lessons` is
    what the network learns from a teacher besides labels; None without a teacher.
    """

    def __init__(
        self,
        model: EncoderNetwork,
        loss: RowLoss,
        compute: Callable[..., Tensor] | None = None,
        lessons: Lessons | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.loss = loss
        self._compute = model.forward if compute is None else compute
        self._lessons = lessons

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        labels: Tensor,
        token_type_ids: Tensor | None = None,
        taught: Tensor | None = None,
        hidden: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Return the batch's loss, float32 (), and the network's output, float32 (batch, …).

        `taught` and `hidden` come from a teacher, as `EncoderRows.collate` returns them.
        """
        # No **kwargs: Trainer would take them as a sign that the loss is divided by the number of examples already.
        run = partial(self._compute, input_ids, attention_mask, token_type_ids)
        if self._lessons is None or taught is None:
            outputs = run().float()
            return {"loss": self.loss(outputs, labels, attention_mask), "logits": outputs}
        output, states = self._lessons.run(self.model, run)
        outputs = output.float()
        loss = self.loss(outputs, labels, attention_mask)
        imitation = self._lessons.imitation(outputs, taught, labels, attention_mask)
        mixed = self._lessons.mix(loss, imitation, states, hidden, attention_mask)
        return {"loss": mixed, "logits": outputs}

    def activation_checkpointing_enable(self, **options: Any) -> None:
        """Compute the layers' activations again in the backward pass, so that they need no memory until then.

        Trainer calls this for train.gradient_checkpointing, with the options of PreTrainedModel's method of this name.
        Raises TrainingError if the encoder can't do it.
        """
        encoder: Any = self.model.encoder
        try:
            encoder.activation_checkpointing_enable(**options)
        except (AttributeError, ValueError) as error:
            raise TrainingError(
                f"train.gradient_checkpointing is true, and {type(encoder).__name__} has no layers that support it; "
                "set it to false"
            ) from error


class EncoderObjective(Objective):
    """The objective for training an encoder with a head; subclasses add rows, loss and score.

    Attributes:
        loaded: the model, which is trained in place.
        settings: the recipe's [train] table.
        head: the output layer, which gets no adapters.
        lessons: what is learnt from a teacher; None without a teacher.
    """

    lessons: Lessons | None = None

    def __init__(self, loaded: LoadedEncoder, settings: TrainSettings, *, head: nn.Module) -> None:
        self.loaded: Any = loaded
        self.settings = settings
        self.head = head

    @cached_property
    def rows(self) -> EncoderRows:
        """The training rows, tokenised once."""
        return self.training_rows(self.loaded)

    @property
    def lengths(self) -> Sequence[int]:
        """The number of tokens of each training row."""
        return self.rows.lengths

    @cached_property
    def validation(self) -> Sequence[Tokens]:
        """The validation rows, tokenised once."""
        return self.validation_rows()

    @abstractmethod
    def training_rows(self, loaded: Any) -> EncoderRows:
        """Return the rows of the training examples, with targets, in the tokens of `loaded`, a model of the task."""

    @abstractmethod
    def validation_rows(self) -> Sequence[Tokens]:
        """Tokenise the validation examples and return their rows."""

    @abstractmethod
    def loss(self, logits: Tensor, labels: Tensor, attention_mask: Tensor) -> Tensor:
        """Return the loss of a batch, float32 ()."""

    def imitation(self, logits: Tensor, taught: Tensor, labels: Tensor, attention_mask: Tensor) -> Tensor:
        """Return the loss of a batch against a teacher's outputs, `taught`, float32 (); 0 for equal outputs.

        Only objectives of tasks that use train.distill_from have it.
        """
        raise NotImplementedError(type(self).__name__)

    @abstractmethod
    def scores(self, outputs: Outputs) -> dict[str, float]:
        """Return "loss" and "score" for `outputs`, the network's outputs for all validation rows."""

    def network(self) -> nn.Module:
        """Return the network with its loss, and with adapters if the settings ask for them."""
        if self.settings.method == "lora":
            add_adapters(self.loaded.model, self.head, self.settings)
        return NetworkWithLoss(self.loaded.model, self.loss, lessons=self.lessons)

    def learn_from(self, teacher: LoadedEncoder) -> None:
        """Learn from the answers of a trained model too, as train.distill_from asks.

        Raises TrainingError if the teacher's labels or tokens don't fit.
        """
        taught = self.training_rows(teacher).rows
        self.lessons, self.rows.rows = taught_rows(
            self.loaded, teacher, self.rows.rows, taught, self.settings, self.imitation
        )

    def trainer(self, network: nn.Module, arguments: Mapping[str, Any]) -> Any:
        """Return transformers' Trainer for the training rows."""
        return _RowsTrainer(
            model=network,
            args=TrainingArguments(**arguments),
            train_dataset=self.rows,
            eval_dataset=self.rows,  # required by Trainer; `measure` is used instead
            data_collator=self.rows.collate,
            callbacks=callbacks(self.settings),
        )

    def measure(self, network: Any) -> dict[str, float]:  # noqa: ARG002 (it contains the loaded model)
        """Return the loss and the score of the loaded model's current weights on validation."""
        return self.scores(self.validation_outputs())

    def validation_outputs(self) -> Outputs:
        """Return the loaded model's outputs, with its current weights, for all validation rows."""
        return compute_outputs(self.loaded, self.validation)

    def merge(self, network: Any) -> float:  # noqa: ARG002
        """Merge adapters into the encoder; return the largest change of the outputs for a few training rows."""
        sample = self.rows.collate(self.rows.rows[:SAMPLE])
        del sample["labels"]
        return merge_adapters(self.loaded.model, sample)

    def finish(self) -> Any:
        """Return the loaded model in evaluation mode."""
        self.loaded.model.eval()
        return self.loaded


class _RowsTrainer(Measured, Trainer):  # type: ignore[misc]
    """transformers' Trainer with the order of rows and the validation of `Measured`."""
