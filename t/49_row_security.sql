-- Row-level security on distributed tables: the nodes enforce it, by the session's role and settings.
SELECT plan(93);
SELECT t.add_nodes(1, 2);
SET rehouse.shard_count = 4;
DO $$ DECLARE r text; BEGIN
    FOREACH r IN ARRAY '{app_49,admin_49,owner_49,auditor_49}'::text[] LOOP
        EXECUTE format('CREATE ROLE %I LOGIN', r);
        PERFORM t.exec_on_node(n, format('CREATE ROLE %I LOGIN', r)) FROM generate_series(1, 2) n;
    END LOOP; END $$;
ALTER ROLE auditor_49 BYPASSRLS; GRANT pg_read_server_files TO app_49;
SELECT t.exec_on_node(n, 'ALTER ROLE auditor_49 BYPASSRLS; GRANT CREATE ON DATABASE ' || current_database() || ' TO owner_49') FROM generate_series(1, 2) n;
GRANT CREATE ON SCHEMA public TO owner_49;

CREATE TABLE tenants (tenant_id int PRIMARY KEY, login name);
CREATE TABLE orders (tenant_id int, id int, v int, note text, PRIMARY KEY (tenant_id, id));
CREATE TABLE items (tenant_id int, order_id int, id int, PRIMARY KEY (tenant_id, order_id, id));
CREATE TABLE names (tenant_id int, name text);
INSERT INTO names SELECT i, 'tenant ' || i FROM generate_series(1, 10) i;
INSERT INTO tenants SELECT i, CASE WHEN i % 2 = 0 THEN 'app_49' ELSE 'admin_49' END FROM generate_series(1, 10) i;
INSERT INTO orders SELECT t, i, i * 10, 'n' || i FROM generate_series(1, 10) t, generate_series(1, 5) i;
INSERT INTO items SELECT tenant_id, id, 1 FROM orders;
-- enabled before, with rows
ALTER TABLE orders ENABLE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON orders FOR ALL TO app_49 USING (tenant_id = current_setting('app.tenant')::int);
SELECT create_distributed_table('tenants', 'tenant_id');
SELECT create_distributed_table('orders', 'tenant_id');
SELECT create_distributed_table('items', 'tenant_id');
GRANT ALL ON tenants, orders, items, names TO app_49, admin_49, auditor_49;
CREATE FUNCTION shards(sql text) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(DISTINCT result, ' | ') FROM run_command_on_shards('orders', replace(sql, 'SHARD', '''%s''')) $$;
SELECT is(shards('SELECT relrowsecurity || '' '' || relforcerowsecurity || (SELECT string_agg(polname || polcmd::text || polroles::regrole[]::text, '','') FROM pg_policy WHERE polrelid = c.oid) FROM pg_class c WHERE oid = SHARD::regclass'),
          'true falseone_tenant*{app_49}', 'the shards have it');

-- by a setting of the application
SELECT is((SELECT count(*)::int FROM orders), 50, 'the superuser sees all');
SET ROLE app_49;
SELECT throws_ok('SELECT count(*) FROM orders', '42704', 'unrecognized configuration parameter "app.tenant"', 'without the setting');
SET app.tenant = 3;
SELECT is((SELECT count(*)::int FROM orders), 5, 'one tenant''s rows');
SELECT is((SELECT sum(tenant_id)::int FROM orders WHERE id < 3), 6);
SELECT is_empty('SELECT * FROM orders WHERE tenant_id = 4', 'not those of another, asked for by the key');
SELECT results_eq('SELECT id FROM orders WHERE tenant_id = 3 ORDER BY id', 'SELECT generate_series(1, 5)');
SELECT is_empty($$SELECT * FROM orders WHERE tenant_id = ANY ('{4,5}')$$);
SET app.tenant = 4;
SELECT results_eq('SELECT DISTINCT tenant_id FROM orders', ARRAY[4], 'the setting has changed');
BEGIN;
SET LOCAL app.tenant = 5;
SELECT results_eq('SELECT DISTINCT tenant_id FROM orders', ARRAY[5], 'SET LOCAL');
SAVEPOINT a;
SET LOCAL app.tenant = 6;
SELECT results_eq('SELECT DISTINCT tenant_id FROM orders', ARRAY[6]);
ROLLBACK TO a;
SELECT results_eq('SELECT DISTINCT tenant_id FROM orders', ARRAY[5], 'after ROLLBACK TO');
COMMIT;
SELECT results_eq('SELECT DISTINCT tenant_id FROM orders', ARRAY[4], 'after COMMIT');
RESET app.tenant;
SELECT throws_ok('SELECT count(*) FROM orders', '22P02', NULL, 'empty after RESET, as on one server');
SET app.tenant = 3;
-- the policy routes: one bucket is asked
CREATE TEMP TABLE plan (line text);
DO $$ DECLARE l text; BEGIN FOR l IN EXPLAIN SELECT * FROM orders WHERE id = 2 LOOP INSERT INTO plan VALUES (l); END LOOP; END $$;
SELECT ok(EXISTS (SELECT FROM plan WHERE line ~ 'single-tenant'), 'the tenant in the policy makes it a single-tenant statement') ;
SELECT is((SELECT count(*)::int FROM orders JOIN items ON items.tenant_id = orders.tenant_id AND order_id = orders.id), 5, 'a join on the key');
SELECT is((SELECT count(*)::int FROM orders JOIN names USING (tenant_id)), 5, 'a join with a local table');
SELECT is((SELECT count(*)::int FROM names LEFT JOIN orders USING (tenant_id)), 14, 'an outer join');
SELECT is((SELECT count(*)::int FROM items LEFT JOIN orders o ON o.tenant_id = items.tenant_id AND o.id = order_id WHERE o.id IS NULL), 45);
SELECT is((SELECT count(*)::int FROM names WHERE EXISTS (SELECT FROM orders WHERE orders.tenant_id = names.tenant_id)), 1, 'in a sub-select');
SELECT is((WITH o AS MATERIALIZED (SELECT * FROM orders) SELECT count(*)::int FROM o), 5);
SELECT is((SELECT count(*)::int FROM orders a, orders b WHERE a.id = b.id), 5);
SELECT results_eq('SELECT id FROM orders ORDER BY id DESC LIMIT 2', ARRAY[5, 4]);
SELECT is((SELECT count(*)::int FROM (SELECT 1 FROM orders FOR UPDATE) x), 5, 'FOR UPDATE');

-- changes
SELECT lives_ok('INSERT INTO orders VALUES (3, 100, 1)');
SELECT throws_ok('INSERT INTO orders VALUES (4, 100, 1)', '42501', 'new row violates row-level security policy for table "orders"', 'INSERT of another''s row');
SELECT throws_ok('INSERT INTO orders VALUES (3, 101, 1), (4, 100, 1)', '42501', NULL, 'of several rows');
SELECT throws_ok('INSERT INTO orders SELECT tenant_id, id + 500 FROM items CROSS JOIN generate_series(1, 300)', '42501', NULL, 'of many rows');
SELECT lives_ok('INSERT INTO orders SELECT 3, i FROM generate_series(1000, 1300) i', 'of many rows, all one''s own');
SELECT throws_ok($$INSERT INTO orders VALUES (4, 1, 5) ON CONFLICT (tenant_id, id) DO UPDATE SET v = -1$$, '42501', NULL, 'ON CONFLICT on another''s row');
SELECT results_eq('WITH d AS (DELETE FROM orders WHERE id >= 100 RETURNING tenant_id) SELECT count(*)::int FROM d', ARRAY[302], 'DELETE');
UPDATE orders SET v = v + 1 WHERE id = 1;
UPDATE orders SET v = v + 1 WHERE tenant_id = 4;
UPDATE orders SET v = v + 1 FROM items WHERE items.tenant_id = orders.tenant_id AND order_id = orders.id AND orders.id = 2;
DELETE FROM orders WHERE tenant_id IN (SELECT tenant_id FROM names WHERE tenant_id <> 3);
SELECT throws_ok('COPY orders FROM ''/dev/null''', '0A000', 'COPY FROM not supported with row-level security');
RESET ROLE;
SELECT results_eq('SELECT tenant_id, id, v FROM orders WHERE v % 10 <> 0 ORDER BY 1, 2', $$VALUES (3, 1, 11), (3, 2, 21)$$, 'only one''s own rows have changed');
SELECT is((SELECT count(*)::int FROM orders), 50);

-- prepared statements under changing roles and settings
PREPARE mine AS SELECT count(*)::int FROM orders;
PREPARE by_key(int) AS SELECT count(*)::int FROM orders WHERE tenant_id = $1;
EXECUTE mine; EXECUTE by_key(3);
SET ROLE app_49;
SELECT results_eq('EXECUTE mine', ARRAY[5]); SELECT results_eq('EXECUTE by_key(4)', ARRAY[0], 'prepared as another role');
SET app.tenant = 4;
SELECT results_eq('EXECUTE mine', ARRAY[5]); SELECT results_eq('EXECUTE by_key(4)', ARRAY[5]);
SET ROLE admin_49;
SELECT results_eq('EXECUTE mine', ARRAY[0], 'no policy lets this one pass');
SET ROLE auditor_49;
SELECT results_eq('EXECUTE mine', ARRAY[50], 'BYPASSRLS');
SET row_security = off;
SELECT results_eq('EXECUTE mine', ARRAY[50]);
SET ROLE app_49;
SELECT throws_ok('SELECT count(*) FROM orders', '42501', 'query would be affected by row-level security policy for table "orders"', 'row_security = off');
RESET row_security;
RESET ROLE;

-- policies of several kinds: other tables, current_user, restrictive ones, roles
ALTER TABLE tenants ENABLE ROW LEVEL SECURITY;
CREATE POLICY login ON tenants USING (login = current_user);
ALTER POLICY one_tenant ON orders USING (EXISTS (SELECT FROM tenants t WHERE t.tenant_id = orders.tenant_id)) WITH CHECK (v < 1000);
CREATE POLICY small ON orders AS RESTRICTIVE FOR SELECT USING (id < 4);
CREATE POLICY admin ON orders FOR SELECT TO admin_49 USING (tenant_id IN (SELECT tenant_id FROM tenants));
SET ROLE app_49;
SELECT results_eq('SELECT tenant_id, count(*)::int FROM orders GROUP BY 1 ORDER BY 1', $$VALUES (2, 3), (4, 3), (6, 3), (8, 3), (10, 3)$$, 'through another table, by current_user');
SELECT throws_ok('UPDATE orders SET v = 1000 WHERE tenant_id = 2', '42501', NULL, 'WITH CHECK');
SET ROLE admin_49;
SELECT results_eq('SELECT DISTINCT tenant_id FROM orders ORDER BY 1', $$VALUES (1), (3), (5), (7), (9)$$, 'another role''s');
RESET ROLE;
SELECT throws_ok('CREATE POLICY p ON orders USING (EXISTS (SELECT FROM names))', '0A000', 'cannot enforce policy "p" on distributed table "orders"', 'a local table in a policy');
SELECT throws_ok('CREATE POLICY p ON orders USING (v IN (SELECT t.tenant_id FROM tenants t))', '0A000', 'cannot enforce policy "p" on distributed table "orders"', 'not joined on the key');
SELECT is(shards('SELECT string_agg(polname, '','' ORDER BY polname) FROM pg_policy WHERE polrelid = SHARD::regclass'), 'admin,one_tenant,small', 'nothing of them is left');

SELECT throws_ok($$SELECT undistribute_table('tenants')$$, '0A000', 'cannot enforce policy "admin" on distributed table "orders"', 'a table that a policy looks at stays');
SELECT throws_ok($$SELECT update_distributed_table_colocation('orders', 'none')$$, '0A000', 'cannot enforce policy "admin" on distributed table "orders"', 'co-located, too');
-- functions: their rights are their owner's
CREATE FUNCTION all_orders() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*) FROM orders';
CREATE FUNCTION my_orders() RETURNS bigint LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT count(*) FROM orders); END';
SET ROLE app_49;
SELECT results_eq('SELECT all_orders(), my_orders()', $$VALUES (50::bigint, 15::bigint)$$, 'SECURITY DEFINER, and not');
RESET ROLE;

-- views
CREATE VIEW of_owner AS SELECT * FROM orders;
CREATE VIEW of_invoker WITH (security_invoker) AS SELECT * FROM orders;
CREATE VIEW barrier WITH (security_barrier, security_invoker) AS SELECT * FROM orders WHERE id > 1;
CREATE VIEW of_other AS SELECT * FROM orders;
ALTER VIEW of_other OWNER TO admin_49;
GRANT ALL ON of_owner, of_invoker, barrier, of_other TO app_49;
SET ROLE app_49;
SELECT is((SELECT count(*)::int FROM of_owner), 50, 'a view reads as its owner');
SELECT is((SELECT count(*)::int FROM of_owner WHERE tenant_id = 3), 5);
SELECT is((SELECT count(*)::int FROM of_invoker), 15, 'security_invoker');
SELECT is((SELECT count(*)::int FROM of_invoker WHERE tenant_id = 2), 3);
SELECT is((SELECT count(*)::int FROM barrier), 10, 'security_barrier');
SELECT is((SELECT count(*)::int FROM of_owner a JOIN orders b USING (tenant_id, id) WHERE tenant_id = 2), 3, 'two readers in one statement');
SELECT throws_ok('SELECT * FROM of_other', '0A000', 'cannot apply the policies of distributed table "orders" to a view of another role', 'a policy that asks who runs the statement');
RESET ROLE;
-- a leaky function sees no row that a policy hides
CREATE FUNCTION leak(int, int) RETURNS bool LANGUAGE plpgsql COST 0.0001 AS $$ BEGIN RAISE NOTICE 'saw %', $1; RETURN $1 = $2; END $$;
SET ROLE app_49;
CREATE TEMP TABLE seen (n int);
CREATE FUNCTION pg_temp.leak(a int) RETURNS bool LANGUAGE plpgsql COST 0.0001 AS $$ BEGIN INSERT INTO seen VALUES (a); RETURN true; END $$;
SELECT count(*) FROM orders WHERE pg_temp.leak(tenant_id);
SELECT results_eq('SELECT DISTINCT n FROM seen ORDER BY 1', $$VALUES (2), (4), (6), (8), (10)$$, 'a leaky function');
SELECT lives_ok('SELECT 1 / (tenant_id - 3) FROM orders WHERE 1 / (tenant_id - 3) IS NOT NULL', 'an error that would leak');
RESET ROLE;

-- the owner: exempt, unless forced
CREATE TABLE own (k int PRIMARY KEY, who name);
ALTER TABLE own OWNER TO owner_49;
GRANT ALL ON own TO app_49;
SET ROLE owner_49;
SELECT create_distributed_table('own', 'k');
INSERT INTO own SELECT i, CASE WHEN i < 4 THEN 'owner_49' ELSE 'app_49' END FROM generate_series(1, 10) i;
CREATE POLICY self ON own USING (who = current_user);
ALTER TABLE own ENABLE ROW LEVEL SECURITY;
SELECT is((SELECT count(*)::int FROM own), 10, 'the owner');
ALTER TABLE own FORCE ROW LEVEL SECURITY;
SELECT is((SELECT count(*)::int FROM own), 3, 'FORCE');
SET ROLE app_49;
SELECT is((SELECT count(*)::int FROM own), 7);
RESET ROLE;
-- moves, with policies forced
SELECT citus_move_shard_placement(s.shard_id, b.node_id, (SELECT min(node_id) FROM rehouse.nodes WHERE node_id <> b.node_id))
FROM (SELECT min(shard_id) AS shard_id FROM rehouse.shards WHERE relation = 'own'::regclass) s JOIN rehouse.shards USING (shard_id) JOIN rehouse.buckets b USING (bucket_id);
SELECT is((SELECT count(*)::int FROM own), 10);
SET ROLE app_49;
SELECT is((SELECT count(*)::int FROM own), 7, 'after a move');
RESET ROLE;
CREATE FUNCTION mark() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO marks VALUES (NEW.k); RETURN NEW; END $$;
SET ROLE owner_49;
CREATE TABLE marks (k int);
SELECT create_distributed_table('marks', 'k', colocate_with => 'own');
CREATE TRIGGER mark BEFORE INSERT ON own FOR EACH ROW EXECUTE FUNCTION mark();
SELECT update_distributed_table_colocation('own', 'none');
SELECT is((SELECT count(*)::int FROM own), 3, 'policies after another co-location');
SELECT update_distributed_table_colocation('marks', 'own');
INSERT INTO own VALUES (20, 'owner_49');
SELECT results_eq('SELECT k FROM marks', ARRAY[20], 'triggers after another co-location');
RESET ROLE;
CALL t.wait_until($$SELECT count(*) = 0 FROM rehouse.cleanup$$);
SET ROLE owner_49;
INSERT INTO own VALUES (21, 'owner_49');
SELECT is((SELECT count(*)::int FROM marks), 2, 'and when the old schemas have gone');
SELECT alter_distributed_table('own', shard_count => 3, cascade_to_colocated => true);
DELETE FROM own WHERE k >= 20;
SELECT is((SELECT count(*)::int FROM own), 3, 'alter_distributed_table');
RESET ROLE;
SELECT is((SELECT count(*)::int FROM own), 10, 'and nothing lost');
SET ROLE owner_49;
ALTER POLICY self ON own RENAME TO me;
SELECT undistribute_table('own');
RESET ROLE;
SELECT is((SELECT count(*)::int FROM own), 10, 'undistributed, and nothing lost');
-- DROP OWNED takes a role out of policies
DROP OWNED BY admin_49;
SELECT is(shards('SELECT string_agg(polname, '','' ORDER BY polname) FROM pg_policy WHERE polrelid = SHARD::regclass'), 'one_tenant,small', 'DROP OWNED');
DROP POLICY small ON orders;
SELECT is(shards('SELECT string_agg(polname, '','' ORDER BY polname) FROM pg_policy WHERE polrelid = SHARD::regclass'), 'one_tenant', 'DROP POLICY');
ALTER TABLE orders DISABLE ROW LEVEL SECURITY;
SET ROLE app_49;
SELECT is((SELECT count(*)::int FROM orders), 50, 'DISABLE');
RESET ROLE;
-- reference tables: their policies are enforced on the coordinator
CREATE TABLE regions (tenant_id int PRIMARY KEY, who name);
INSERT INTO regions SELECT i, CASE WHEN i > 5 THEN 'app_49' ELSE 'admin_49' END FROM generate_series(1, 10) i;
SELECT create_reference_table('regions');
GRANT ALL ON regions TO app_49;
ALTER TABLE regions ENABLE ROW LEVEL SECURITY;
CREATE POLICY who ON regions USING (who = current_user);
SET ROLE app_49;
SELECT is((SELECT count(*)::int FROM regions), 5, 'a reference table');
SELECT is((SELECT count(*)::int FROM orders JOIN regions USING (tenant_id)), 25, 'joined');
SELECT is((SELECT count(*)::int FROM orders JOIN regions USING (tenant_id) WHERE tenant_id = 2), 0, 'joined, for one tenant');
INSERT INTO regions VALUES (11, 'app_49');
SELECT throws_ok($$INSERT INTO regions VALUES (12, 'admin_49')$$, '42501');
RESET ROLE;
SELECT throws_ok('CREATE POLICY p ON orders USING (EXISTS (SELECT FROM regions r WHERE r.tenant_id = orders.tenant_id))', '0A000', 'cannot enforce policy "p" on distributed table "orders"', 'in a policy, with policies of its own');
ALTER TABLE regions DISABLE ROW LEVEL SECURITY;
CREATE POLICY by_region ON orders FOR DELETE USING (EXISTS (SELECT FROM regions r WHERE r.tenant_id = orders.tenant_id AND r.who = current_user));
DROP POLICY by_region ON orders;
-- partitioned tables: the parent's policies
CREATE TABLE events (tenant_id int, day date) PARTITION BY RANGE (day);
CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2024-01-01') TO ('2024-02-01');
INSERT INTO events SELECT i, '2024-01-01'::date + i FROM generate_series(1, 10) i;
SELECT create_distributed_table('events', 'tenant_id');
CREATE TABLE events_2 PARTITION OF events FOR VALUES FROM ('2024-02-01') TO ('2024-03-01');
INSERT INTO events SELECT i, '2024-02-01'::date + i FROM generate_series(1, 10) i;
GRANT ALL ON events, events_1, events_2 TO app_49;
ALTER TABLE events ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON events USING (tenant_id = current_setting('app.tenant')::int);
ALTER TABLE events_1 ENABLE ROW LEVEL SECURITY;
SET app.tenant = 4; SET ROLE app_49;
SELECT is((SELECT count(*)::int FROM events), 2, 'a partitioned table');
SELECT is((SELECT count(*)::int FROM events WHERE tenant_id = 5), 0);
SELECT is((SELECT count(*)::int FROM events_1), 0, 'a partition has policies of its own');
SELECT is((SELECT count(*)::int FROM events_2), 10);
SELECT throws_ok($$INSERT INTO events VALUES (5, '2024-01-20')$$, '42501');
SELECT lives_ok($$INSERT INTO events VALUES (4, '2024-01-20'), (4, '2024-02-20')$$);
RESET ROLE;
DROP TABLE events;
-- triggers see the application's settings too
CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.note := current_setting('app.who', true) || ' ' || current_user; RETURN NEW; END $$;
CREATE TRIGGER stamp BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION stamp();
SET app.who = 'me'; SET ROLE app_49;
INSERT INTO orders VALUES (1, 900), (2, 900);
SET app.who = 'you';
INSERT INTO orders VALUES (2, 901);
RESET ROLE;
SELECT results_eq('SELECT note FROM orders WHERE id >= 900 ORDER BY tenant_id, id', ARRAY['me app_49', 'me app_49', 'you app_49'], 'settings in a trigger');
-- roles that the nodes lack or know otherwise
ALTER TABLE orders ENABLE ROW LEVEL SECURITY;
CREATE ROLE lost_49; CREATE ROLE loose_49 LOGIN;
SELECT t.exec_on_node(n, 'CREATE ROLE loose_49 LOGIN BYPASSRLS') FROM generate_series(1, 2) n;
GRANT SELECT ON orders TO loose_49;
SET ROLE loose_49;
SELECT throws_ok('SELECT * FROM orders', '42501', NULL, 'a role that bypasses policies on a node, and not here');
SELECT throws_ok('SELECT * FROM orders WHERE tenant_id = 1', '42501', NULL, 'the same for one tenant');
RESET ROLE;
ALTER ROLE loose_49 BYPASSRLS;
SET ROLE loose_49;
SELECT lives_ok('SELECT * FROM orders', 'a role that bypasses them on both');
RESET ROLE;
ALTER ROLE loose_49 NOBYPASSRLS;
SET ROLE loose_49;
SELECT throws_ok('SELECT * FROM orders', '42501', NULL, 'and does no more, while its connections are open');
RESET ROLE;
SELECT throws_ok('CREATE POLICY lost ON orders TO lost_49 USING (true)', '42704', NULL, 'a role that the node lacks');
-- rows that a DELETE has to lock first: locks ask for the policies of UPDATE, and would pass over rows in silence
RESET ROLE;
CREATE TABLE stamps (k int, id int, v int, PRIMARY KEY (k, id));
SELECT create_distributed_table('stamps', 'k');
INSERT INTO stamps SELECT i, i, 0 FROM generate_series(1, 10) i;
ALTER TABLE stamps ENABLE ROW LEVEL SECURITY;
CREATE POLICY sees ON stamps FOR SELECT TO app_49 USING (true);
CREATE POLICY drops ON stamps FOR DELETE TO app_49 USING (true);
GRANT ALL ON stamps TO app_49;
SET ROLE app_49;
SELECT throws_ok('DELETE FROM stamps WHERE v = (SELECT count(*) FROM names WHERE names.tenant_id = stamps.id + 10)', '0A000', NULL, 'a DELETE that has to lock its rows first');
SELECT is((SELECT count(*)::int FROM stamps), 10, 'which are there');
RESET ROLE;
DROP TABLE stamps;
DROP TABLE regions, tenants, orders, items, names, own, marks CASCADE;
DROP OWNED BY app_49, admin_49, owner_49, auditor_49, lost_49, loose_49;
DROP ROLE lost_49, loose_49;
SELECT t.exec_on_node(n, 'DROP OWNED BY app_49, admin_49, owner_49, auditor_49, loose_49; DROP ROLE app_49, admin_49, owner_49, auditor_49, loose_49') FROM generate_series(1, 2) n;
DROP ROLE app_49, admin_49, owner_49, auditor_49;
SELECT finish();
