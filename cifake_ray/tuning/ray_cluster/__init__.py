"""The Ray that a study runs on: session, capacity, storage and data of its nodes."""
