"""Checks of a network's architecture before its graph is captured."""

import logging

from optimum.utils import NormalizedConfigManager
from transformers import PretrainedConfig

from ftool_export.errors import ExportError

log = logging.getLogger(__name__)


def attention_layers(config: PretrainedConfig) -> int | None:
    """Return how many attention layers one forward pass runs, or None if optimum does not know the architecture."""
    try:
        normalized = NormalizedConfigManager.get_normalized_config_class(config.model_type)(config)
        return int(normalized.num_layers)
    except (KeyError, AttributeError):
        log.debug("optimum knows no layer count for %s", config.model_type)
        return None


def check_exportable(config: PretrainedConfig) -> None:
    """Raise ExportError for a text classifier whose exported graph would give wrong answers.

    Raises:
        ExportError: the model is an encoder-decoder, or it is a decoder without a padding token, so that the last token
            of a padded text can't be found.
    """
    if config.is_encoder_decoder:
        raise ExportError(
            f"{config.model_type} is an encoder-decoder; ftool exports text classifiers that are encoders or decoders, "
            "so fine-tune one of these"
        )
    if getattr(config, "pad_token_id", None) is None and _reads_the_last_token(config):
        raise ExportError(
            f"this {config.model_type} checkpoint names no padding token, so a padded text's last token can't be "
            "found; set pad_token_id in its config.json"
        )


def _reads_the_last_token(config: PretrainedConfig) -> bool:
    names = config.architectures or []
    return any(name.endswith("ForSequenceClassification") for name in names) and _is_decoder(config)


def _is_decoder(config: PretrainedConfig) -> bool:
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES as CAUSAL
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES as MASKED

    return config.model_type in CAUSAL and config.model_type not in MASKED
