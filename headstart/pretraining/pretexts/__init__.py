"""One file a pretext: self-supervised objectives and distillation losses."""
