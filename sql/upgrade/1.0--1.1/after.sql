
DROP FUNCTION rehouse.shard_sizes_1_0(regclass);
SELECT rehouse.refresh_map();
