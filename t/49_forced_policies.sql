-- Policies that are forced on a table's owner, and foreign keys of local tables; policies with
-- sub-selects on tables that are distributed while they are written to.
SELECT plan(31);
SELECT t.add_nodes(1, 2);
SET rehouse.shard_count = 4;
SET rehouse.auto_rebalance = off;
CREATE ROLE owner_49f LOGIN; CREATE ROLE app_49f LOGIN;
SELECT t.exec_on_node(n, format('CREATE ROLE owner_49f LOGIN; CREATE ROLE app_49f LOGIN; GRANT CREATE ON DATABASE %I TO owner_49f', current_database())) FROM generate_series(1, 2) n;
CREATE SCHEMA shop AUTHORIZATION owner_49f;
GRANT USAGE ON SCHEMA shop TO app_49f;

-- ---- forced, and referenced by a local table ----
SET SESSION AUTHORIZATION owner_49f;
SET search_path = shop, public;
CREATE TABLE tenants (tenant_id int PRIMARY KEY, open bool);
INSERT INTO tenants SELECT i, i % 2 = 0 FROM generate_series(1, 10) i;
ALTER TABLE tenants ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY only_open ON tenants USING (open AND tenant_id::text = ANY (string_to_array(current_setting('app.tenants', true), ',')));
SELECT set_config('app.tenants', '1,2,3,4', false);
SELECT create_distributed_table('tenants', 'tenant_id');
SELECT results_eq('SELECT tenant_id FROM tenants ORDER BY 1', ARRAY[2, 4], 'the owner is subject to the policy');
CREATE TABLE bills (id int PRIMARY KEY, tenant_id int REFERENCES tenants ON DELETE CASCADE);
SELECT lives_ok('INSERT INTO bills VALUES (1, 2)', 'a row that is seen is referenced');
SELECT lives_ok('INSERT INTO bills VALUES (2, 1), (3, 7)', 'and ones that are not, as on one server');
SELECT throws_ok('INSERT INTO bills VALUES (4, 77)', '23503', NULL, 'but none that is not there');
SELECT results_eq('SELECT tenant_id FROM tenants ORDER BY 1', ARRAY[2, 4], 'statements are as before');
SELECT results_eq('SELECT tenant_id FROM tenants WHERE tenant_id IN (1, 2)', ARRAY[2]);
BEGIN;
UPDATE bills SET tenant_id = 9 WHERE id = 1;
SELECT results_eq('SELECT tenant_id FROM tenants ORDER BY 1', ARRAY[2, 4], 'within the transaction of a check too');
COMMIT;
SELECT is((SELECT count(*)::int FROM tenants WHERE current_setting('rehouse_node.unforced', true) = 'on'), 0, 'nobody sees the setting');
UPDATE bills SET tenant_id = 2 WHERE id = 1;
SET app.tenants = '2';
DELETE FROM tenants WHERE tenant_id = 2;
SELECT results_eq('SELECT id FROM bills ORDER BY id', ARRAY[2, 3], 'a cascade of a row that is seen');
ALTER POLICY only_open ON tenants RENAME TO still_open;
SELECT lives_ok('INSERT INTO bills VALUES (5, 3)', 'after a change of the policies');
CREATE POLICY limits ON tenants AS RESTRICTIVE USING (current_setting('app.strict', true) IS DISTINCT FROM 'on');
SET app.strict = 'on';
SELECT lives_ok('INSERT INTO bills VALUES (7, 3)', 'by a restrictive policy');
SELECT is((SELECT count(*)::int FROM tenants), 0, 'which holds for all else');
ALTER TABLE bills DROP CONSTRAINT bills_tenant_id_fkey;
DROP POLICY limits ON tenants;
CREATE POLICY limits ON tenants AS RESTRICTIVE USING (current_setting('app.strict', true) IS DISTINCT FROM 'on');
ALTER TABLE bills ADD FOREIGN KEY (tenant_id) REFERENCES tenants ON DELETE CASCADE NOT VALID;
SELECT lives_ok('INSERT INTO bills VALUES (8, 3)', 'also when that was there first');
SELECT is((SELECT count(*)::int FROM tenants), 0);
RESET app.strict;
DROP POLICY limits ON tenants;
GRANT SELECT, UPDATE ON tenants TO app_49f;
RESET SESSION AUTHORIZATION;
SELECT citus_move_shard_placement(get_shard_id_for_distribution_column('shop.tenants', 3), a.node_id, (SELECT min(node_id) FROM rehouse.nodes WHERE node_id <> a.node_id))
FROM (SELECT node_id FROM rehouse.shards JOIN rehouse.buckets USING (bucket_id) WHERE shard_id = get_shard_id_for_distribution_column('shop.tenants', 3)) a;
SET SESSION AUTHORIZATION owner_49f;
SELECT lives_ok('INSERT INTO bills VALUES (6, 3)', 'after a move');
SET SESSION AUTHORIZATION app_49f;
SET rehouse_node.unforced = 'on'; SET app.tenants = '4';
SELECT results_eq('SELECT tenant_id FROM shop.tenants ORDER BY 1', ARRAY[4], 'the setting is of no use to others');
RESET SESSION AUTHORIZATION;
SELECT is_empty($$SELECT d FROM t.shard_differences('shop.tenants') d WHERE d !~ 'rehouse_reference_'$$, 'the shards are as the shell');
SET SESSION AUTHORIZATION owner_49f;
ALTER TABLE bills DROP CONSTRAINT bills_tenant_id_fkey;
RESET SESSION AUTHORIZATION;
SELECT is((SELECT sum(result::int)::int FROM run_command_on_shards('shop.tenants', $$SELECT count(*) FROM pg_policy WHERE polrelid = '%s'::regclass AND polname ~ 'rehouse_reference_'
    AND NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = polrelid AND tgname = polname)$$)), 0, 'the exemption goes with the trigger of the foreign key');
DROP TABLE shop.bills, shop.tenants;

-- ---- sub-selects, distributed online ----
RESET search_path;
CREATE TABLE members (tenant_id int, login name, PRIMARY KEY (tenant_id, login));
CREATE TABLE plans (plan int PRIMARY KEY, visible bool);
CREATE TABLE orders (tenant_id int, id int, plan int, PRIMARY KEY (tenant_id, id));
INSERT INTO members SELECT i, 'app_49f' FROM generate_series(1, 3) i;
INSERT INTO plans VALUES (0, true), (1, false);
INSERT INTO orders SELECT i, j, j % 2 FROM generate_series(1, 6) i, generate_series(1, 4) j;
GRANT ALL ON members, plans, orders TO app_49f;
ALTER TABLE orders ENABLE ROW LEVEL SECURITY;
CREATE POLICY member ON orders USING (EXISTS (SELECT FROM members m WHERE m.tenant_id = orders.tenant_id AND m.login = current_user)
    AND plan IN (SELECT plan FROM plans WHERE visible));
SELECT throws_ok($$SELECT create_distributed_table('orders', 'tenant_id')$$, '0A000', NULL, 'a policy that a shard could not answer yet');
SELECT create_reference_table('plans');
SELECT create_distributed_table_concurrently('members', 'tenant_id');
SELECT create_distributed_table_concurrently('orders', 'tenant_id', colocate_with => 'members');
SELECT is((SELECT count(*)::int FROM citus_shards WHERE table_name = 'orders'::regclass), 4, 'distributed online');
SELECT is((SELECT count(*)::int FROM orders), 24, 'the superuser sees all');
SET SESSION AUTHORIZATION app_49f;
SELECT results_eq('SELECT tenant_id, count(*)::int FROM orders GROUP BY 1 ORDER BY 1', $$VALUES (1, 2), (2, 2), (3, 2)$$, 'the policy holds, with its sub-selects');
SELECT throws_ok('INSERT INTO orders VALUES (5, 100, 0)', '42501', NULL, 'for new rows too');
SELECT lives_ok('INSERT INTO orders VALUES (1, 100, 0)');
RESET SESSION AUTHORIZATION;
UPDATE plans SET visible = NOT visible;
SET SESSION AUTHORIZATION app_49f;
SELECT is((SELECT count(*)::int FROM orders WHERE tenant_id = 1), 2, 'as the reference table says');
RESET SESSION AUTHORIZATION;
SELECT is_empty($$SELECT t.shard_differences('orders')$$, 'the shards are as the shell');
CREATE TABLE apart (tenant_id int PRIMARY KEY);
ALTER TABLE apart ENABLE ROW LEVEL SECURITY;
CREATE TABLE not_distributed (a int);
CREATE POLICY p ON apart USING (tenant_id IN (SELECT a FROM not_distributed));
CREATE TEMP TABLE said (message text);
\set VERBOSITY sqlstate
\set ON_ERROR_STOP off
SELECT create_distributed_table_concurrently('apart', 'tenant_id');
\set ON_ERROR_STOP on
SELECT is((SELECT count(*)::int FROM rehouse.tables WHERE relation = 'apart'::regclass), 0, 'refused where CREATE POLICY would be');
SELECT is((SELECT failure ->> 'sqlstate' || ' ' || (failure ->> 'message') || ' ' || coalesce(s.phase, '') FROM rehouse.job_steps s ORDER BY step_id DESC LIMIT 1),
          '0A000 cannot enforce policy "p" on distributed table "apart" locking the tables', 'before anything is copied');
DROP POLICY p ON apart;
CREATE POLICY p ON apart USING (EXISTS (SELECT FROM members WHERE login = current_user));
\set ON_ERROR_STOP off
SELECT create_distributed_table_concurrently('apart', 'tenant_id', colocate_with => 'members');
\set ON_ERROR_STOP on
SELECT is((SELECT count(*)::int FROM rehouse.tables WHERE relation = 'apart'::regclass), 0, 'as is one that a shard alone would answer wrongly');
CALL t.wait_until($$SELECT count(*) = 0 FROM rehouse.cleanup$$);
SELECT is((SELECT count(*)::int FROM rehouse.cleanup), 0, 'with nothing left to be done');
DROP TABLE orders, members, plans, apart, not_distributed;
DROP SCHEMA shop;
SELECT t.exec_on_node(n, 'DROP OWNED BY owner_49f, app_49f; DROP ROLE owner_49f, app_49f') FROM generate_series(1, 2) n;
DROP OWNED BY owner_49f, app_49f; DROP ROLE owner_49f, app_49f;
CALL t.wait_clean();
SELECT is_empty('SELECT t.leftovers()', 'nothing left on any node');
SELECT finish();
