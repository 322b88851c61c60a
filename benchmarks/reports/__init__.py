"""Reports of campaigns and runs: tables, HTML pages and the winner's file."""
