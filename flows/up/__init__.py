"""Server, worker, endpoints and pages as one supervised group: `headgate up`."""
