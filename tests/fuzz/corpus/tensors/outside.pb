j
location	/dev/zerop