"""What `MarkerRemover` takes and gives: files, arrays and datasets."""
