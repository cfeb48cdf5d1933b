"""The status page of a node: on loopback only, behind the review page's gate; metrics for Prometheus; files that are dropped on the page; logs."""
