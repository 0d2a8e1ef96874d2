"""What every service shares: the bus, gRPC, keys, blobs, telemetry. Knows no medicine."""
