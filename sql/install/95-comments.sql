-- ---------------------------------------------------------------------------
-- What the catalog's tables and types are, for \d+ and \dT+.
-- ---------------------------------------------------------------------------

COMMENT ON TABLE rehouse.cluster IS 'who this coordinator is: one row';
COMMENT ON TABLE rehouse.nodes IS 'the worker nodes';
COMMENT ON TABLE rehouse.colocation_groups IS 'co-location groups: tables whose shards of the same hashes are together';
COMMENT ON TABLE rehouse.tables IS 'the distributed and the reference tables';
COMMENT ON TABLE rehouse.buckets IS 'the hash ranges of each co-location group, and the node that each is on';
COMMENT ON TABLE rehouse.shards IS 'the id of each table''s part of a bucket';
COMMENT ON TABLE rehouse.reference_copies IS 'the nodes that have copies of the reference tables';
COMMENT ON TABLE rehouse.objects IS 'the types, functions and other objects that nodes have besides shards';
COMMENT ON TABLE rehouse.commit_decisions IS 'the prepared transactions of nodes that are to be committed';
COMMENT ON TABLE rehouse.cleanup IS 'what is to be removed from nodes, with the last error in doing so';
COMMENT ON TABLE rehouse.rebalance_wanted IS 'nodes have become able to hold shards: why the keeper is to rebalance';
COMMENT ON TABLE rehouse.node_troubles IS 'nodes that could not be reached, with the time of the next try';
COMMENT ON TABLE rehouse.bucket_sizes IS 'the size of each bucket when its node was last asked';
COMMENT ON TABLE rehouse.rebalance_strategies IS 'the rebalance strategies: functions for costs and capacities, thresholds';

COMMENT ON TYPE pg_catalog.noderole IS 'what a node is in the catalog; all of ours are primary';
COMMENT ON TYPE citus.distribution_type IS 'how a table is distributed; by hash';
COMMENT ON TYPE citus.shard_transfer_mode IS 'how shards are moved; all ways mean the same here, and keep writes going';
