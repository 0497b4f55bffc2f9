"""What a study will cost: plan, timing, simulation, time left."""
