"""Score files of texts on a Ray cluster: `predict`, and its report. Needs `pip install 'ftool[ray]'`."""

from ftool.distributed.predict import predict
from ftool.distributed.results import BatchReport
from ftool.errors import ClusterError

__all__ = ["BatchReport", "ClusterError", "predict"]
