"""A Dagster platform that restores zipped BagIt bags from S3 Glacier into a digital-library archive."""
