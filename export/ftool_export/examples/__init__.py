"""Examples for each kind of task: inputs, and how two models' answers to them are compared and scored."""
