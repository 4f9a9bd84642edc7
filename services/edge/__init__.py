"""The edge: the public HTTP contract, turned into gRPC calls to the mesh."""
