"""Reports of campaigns and of runs: tables, pages and the winner's file."""
