//! Counters, gauges and histograms shown on /metrics.
