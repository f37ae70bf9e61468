"""The Open Inference Protocol, version 2: the same answers for clients of Triton, KServe and the like."""
