"""Metrics of the field as plain functions of arrays and strings; numpy and shapely only."""

from rscovlm.metrics.ap_nc import ap_nc
from rscovlm.metrics.grounding import grounding_accuracy, rescaled, rscovlm_answer

__all__ = ["ap_nc", "grounding_accuracy", "rescaled", "rscovlm_answer"]
