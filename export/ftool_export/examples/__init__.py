"""Examples for each kind of task: inputs, and the comparison and scoring of two models' answers to these inputs."""
