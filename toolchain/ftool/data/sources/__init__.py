"""Read tables from the sources of data: files, folders, the hub, and data sets that ship with ftool."""
