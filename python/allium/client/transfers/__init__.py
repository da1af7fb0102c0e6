"""Files and their servers: what is sent and fetched, from and into files and memory; pictures made fit to be sent."""
