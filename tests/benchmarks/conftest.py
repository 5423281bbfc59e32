# programs that measure, each run by itself: none of them is a test
collect_ignore_glob = ["*.py", "peers"]
