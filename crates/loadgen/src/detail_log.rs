//! Reads `mlperf_log_detail.txt`.
