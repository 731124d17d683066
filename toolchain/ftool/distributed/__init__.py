"""Answer many texts on a Ray cluster: `predict` for files, `Answers` for Ray Data. Needs `pip install 'ftool[ray]'`."""

from ftool.distributed.predict import predict
from ftool.distributed.ray_data import Answers
from ftool.distributed.results import BatchReport
from ftool.errors import ClusterError

__all__ = ["Answers", "BatchReport", "ClusterError", "predict"]
