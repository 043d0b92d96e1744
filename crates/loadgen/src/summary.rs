//! Reads `mlperf_log_summary.txt`.
