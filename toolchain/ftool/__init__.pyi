from ftool.api import Bundle as Bundle
from ftool.api import Run as Run
from ftool.api import open as open
from ftool.api import train as train
from ftool.bench.report import BenchReport as BenchReport
from ftool.errors import BaseError as BaseError
from ftool.errors import BenchError as BenchError
from ftool.errors import DataError as DataError
from ftool.errors import GateError as GateError
from ftool.errors import ModelFolderError as ModelFolderError
from ftool.errors import RecipeError as RecipeError
from ftool.errors import TrainingError as TrainingError
from ftool.evaluation.results import Evaluation as Evaluation
from ftool.evaluation.results import TrainReport as TrainReport
from ftool.ladder.frontier import Frontier as Frontier
from ftool.recipe.recipe import Recipe as Recipe
from ftool_export.errors import CheckpointError as CheckpointError
from ftool_export.errors import ExportError as ExportError
from ftool_export.report import ExportReport as ExportReport
from ftool_export.report import ParityReport as ParityReport
from ftool_runtime.bundle.verify import VerifyReport as VerifyReport
from ftool_runtime.errors import BundleError as BundleError
from ftool_runtime.errors import FtoolError as FtoolError
from ftool_runtime.errors import InputError as InputError
from ftool_runtime.errors import RuntimeMissingError as RuntimeMissingError

__version__: str
__all__: list[str]
