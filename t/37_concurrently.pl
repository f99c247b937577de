# create_distributed_table_concurrently and rehouse.distribute_concurrently: arguments, messages, what is
# refused, and what sessions that were there before see.

use strict;
use warnings;
use Test::More;
use RehouseCluster;

my $cluster = RehouseCluster->new(workers => 2, coordinator => {
	'rehouse.auto_rebalance' => 'off', 'rehouse.step_retry_delay' => '20ms' });
my $c = $cluster->coordinator;

# The messages of a call that must succeed; of one that must fail.
sub notices
{
	my ($sql) = @_;
	my ($status, $rows, $messages) = $c->try($sql);
	is($status, 0, $sql) or diag($messages);
	return join "\n", grep { /NOTICE|DETAIL/ } split /\n/, $messages // '';
}

sub fails
{
	my ($sql, $pattern, $what) = @_;
	my ($status, $rows, $messages) = $c->try($sql);
	isnt($status, 0, "$what: refused");
	like($messages, $pattern, $what);
	return;
}

sub state_is_clean
{
	my ($what) = @_;
	ok(eval { $c->query("CALL t.wait_clean('30 s')"); 1 }, "$what: nothing is left on any node") or diag($@);
	is($c->query("SELECT count(*) FROM rehouse.tables WHERE state = 't'"), '0', "$what: nothing is in transit");
	return;
}

sub rows_by_shard
{
	my ($table) = @_;
	return $c->query("SELECT sum(row_count) FROM t.shard_rows('$table')");
}

# ---- arguments and refusals ----

$c->query('CREATE TABLE plain (k int PRIMARY KEY, v text); INSERT INTO plain SELECT i, i FROM generate_series(1, 1000) i');
fails("SELECT create_distributed_table_concurrently('plain', 'k')", qr/no worker node may hold shards/, 'without nodes');
$cluster->add_nodes;
fails("BEGIN; SELECT create_distributed_table_concurrently('plain', 'k')",
	qr/ERROR:  25001: create_distributed_table_concurrently cannot run inside a transaction block/, 'in a transaction block');
fails("SELECT create_distributed_table_concurrently('plain', 'nosuch')", qr/42703.*column "nosuch"/, 'no such column');
fails("SELECT create_distributed_table_concurrently('plain', 'v')", qr/primary key "plain_pkey" does not include/, 'a key that is not unique across shards');
fails("SELECT create_distributed_table_concurrently('plain', 'k', 'range')", qr/0A000.*distribution type "range"/, 'another type');
fails("SELECT create_distributed_table_concurrently('plain', 'k', shard_count => 0)", qr/22023.*shard_count/, 'no shards');
fails("SELECT create_distributed_table_concurrently('plain', 'k', colocate_with => 'pg_class')", qr/cannot colocate/, 'with a table that is not distributed');
fails("SELECT create_distributed_table_concurrently(NULL, 'k')", qr/22004/, 'null');
fails("CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS \$\$BEGIN PERFORM count(*) FROM plain; PERFORM create_distributed_table_concurrently('plain', 'k'); END\$\$;"
	  . "SELECT f()", qr/25001/, 'in a transaction that has read the table');
fails("SELECT rehouse.distribute_concurrently(ARRAY['plain', 'plain']::regclass[], ARRAY['k'])", qr/named twice/, 'a table twice');
fails("SELECT rehouse.distribute_concurrently(ARRAY['plain']::regclass[], ARRAY['k', 'v'])", qr/2 columns are named for 1 tables/, 'two columns for a table');
state_is_clean('after the refusals');

is(notices("SELECT create_distributed_table_concurrently('plain', 'k')"), '', 'nothing to say about a plain table');
is($c->query('SELECT count(*), sum(k), count(DISTINCT v) FROM plain'), '1000|500500|1000', 'its rows');
is(rows_by_shard('plain'), '1000', 'are in the shards');
is($c->query("SELECT shard_count FROM citus_tables WHERE table_name = 'plain'::regclass"), '32', 'of which there are 32');
is($c->query("SELECT estimated_rows FROM rehouse.tables WHERE relation = 'plain'::regclass"), '1000', 'their number is known');
like(notices("SELECT create_distributed_table_concurrently('plain', 'k')"), qr/NOTICE:.*table "plain" is already distributed$/m, 'once more: a notice');
fails("SELECT create_distributed_table_concurrently('plain', 'v')", qr/table "plain" is already distributed/, 'by another column: an error');
state_is_clean('after the first');

$c->query('CREATE TABLE other (k int, v text); INSERT INTO other SELECT i, i FROM generate_series(1, 100) i');
like(notices("SELECT create_distributed_table_concurrently('other', 'k', colocate_with => 'plain')"),
	qr/table "other" has no primary key and no other replica identity/, 'a table without replica identity: a notice');
is($c->query("SELECT count(DISTINCT colocation_id) FROM rehouse.tables"), '1', 'co-located');
is(rows_by_shard('other'), '100', 'its rows');
is($c->query("SELECT relreplident FROM pg_class WHERE oid = 'other'::regclass"), 'd', 'its replica identity is its own again');
is($c->query("SELECT string_agg(DISTINCT t.on_node(n, \$q\$SELECT string_agg(DISTINCT relreplident::text, '') FROM pg_class WHERE relname = 'other'\$q\$), '') FROM generate_series(1, 2) n"), 'd', 'on the nodes too');
$c->query('CREATE TABLE alone (k int PRIMARY KEY)');
notices("SELECT create_distributed_table_concurrently('alone', 'k', colocate_with => 'none', shard_count => 3)");
is($c->query("SELECT shard_count, colocation_id = (SELECT colocation_id FROM citus_tables WHERE table_name = 'plain'::regclass) FROM citus_tables WHERE table_name = 'alone'::regclass"), '3|f', 'a group of its own, with three shards');
state_is_clean('after more');
$c->query('DROP TABLE plain, other, alone');

# ---- foreign keys ----

my $company = <<'SQL';
CREATE TABLE company (id bigint PRIMARY KEY, name text);
CREATE TABLE person (company_id bigint REFERENCES company, id bigint, boss bigint, name text DEFAULT 'x', PRIMARY KEY (company_id, id),
	FOREIGN KEY (company_id, boss) REFERENCES person);
CREATE TABLE task (company_id bigint NOT NULL, person bigint, note text,
	FOREIGN KEY (company_id, person) REFERENCES person ON DELETE CASCADE);
CREATE INDEX ON task (company_id, person);
CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN NEW.name := upper(NEW.name); RETURN NEW; END$$;
CREATE TRIGGER shout BEFORE INSERT ON company FOR EACH ROW EXECUTE FUNCTION shout();
INSERT INTO company SELECT i, 'c' || i FROM generate_series(1, 50) i;
INSERT INTO person SELECT 1 + i % 50, i, NULL FROM generate_series(1, 500) i;
INSERT INTO person SELECT 1 + i % 50, i + 500, i FROM generate_series(1, 500) i;
INSERT INTO task SELECT 1 + i % 50, i, 'n' FROM generate_series(1, 500) i;
INSERT INTO task SELECT 1 + i % 50, i, 'n' FROM generate_series(1, 500) i;
SQL
$c->query($company);
my $messages = notices("SELECT create_distributed_table_concurrently('person', 'company_id')");
like($messages, qr/table "company" is distributed too, because a foreign key connects it with "person".*table "task" is distributed too/s, 'tables that foreign keys connect come along, with a notice');
is($c->query('SELECT string_agg(table_name::text, \' \' ORDER BY table_name::text) FROM citus_tables'), 'company person task', 'all are distributed');
is($c->query('SELECT (SELECT count(*) FROM company), (SELECT count(*) FROM person), (SELECT count(*) FROM task)'), '50|1000|1000', 'with all rows');
like(notices("SELECT create_distributed_table_concurrently('task', 'company_id')"), qr/"task" is already distributed/, 'the later call for one that came along is a notice');
like(notices("SELECT create_distributed_table('company', 'id')"), qr/"company" is already distributed/, 'so is the plain call');
fails("INSERT INTO task VALUES (1, 12345)", qr/23503.*task_company_id_person_fkey/, 'the foreign keys hold');
fails("DELETE FROM company WHERE id = 7", qr/23503.*person_company_id_fkey/, 'both ways');
$c->query('DELETE FROM person WHERE company_id = 2 AND id = 501');
is($c->query('WITH d AS (DELETE FROM person WHERE company_id = 3 AND boss IS NOT NULL RETURNING 1) SELECT count(*) FROM d'), '10', 'rows are deleted by the key');
is($c->query("INSERT INTO company VALUES (51, 'quiet') RETURNING name"), 'QUIET', 'triggers fire');
is($c->query("SELECT string_agg(DISTINCT t.on_node(n, \$q\$SELECT count(*) FILTER (WHERE NOT convalidated) || '/' || count(*) FROM pg_constraint WHERE contype = 'f' AND conrelid::regclass::text LIKE 'public_%'\$q\$), ' ') FROM generate_series(1, 2) n"), '0/48', 'all are valid on the shards');
is($c->query("SELECT string_agg(DISTINCT tgenabled::text, '') FROM pg_trigger WHERE tgisinternal AND tgrelid IN ('company'::regclass, 'person'::regclass, 'task'::regclass)"), 'R', 'those of the shells are off');
like(notices("SELECT truncate_local_data_after_distributing_table('company')"), qr/truncate cascades to table "person".*truncate cascades to table "task"/s, 'the local rows can go');
state_is_clean('after foreign keys');
$c->query('DROP TABLE task, person, company; DROP FUNCTION shout()');

# refused with the reason
$c->query('CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE q (k int, id int, p int REFERENCES p, PRIMARY KEY (k, id))');
fails("SELECT create_distributed_table_concurrently('q', 'k')", qr/42P16.*referenced table "p" must be a distributed table or a reference table.*create_reference_table\('p'\)/s, 'a foreign key without the distribution column');
$c->query('CREATE TABLE r (id int PRIMARY KEY, p int REFERENCES p)');
fails("SELECT create_distributed_table_concurrently('p', 'id')", qr/cannot distribute table "[qr]" by column "p".*table "[qr]" would be distributed too, because a foreign key connects it with "p"/s, 'a table that would come along, and cannot');
$c->query('DROP TABLE r');
$c->query('ALTER TABLE q DROP CONSTRAINT q_p_fkey, ADD r bigint UNIQUE; ALTER TABLE q ADD FOREIGN KEY (k) REFERENCES p ON UPDATE SET NULL');
fails("SELECT create_distributed_table_concurrently('q', 'k')", qr/0A000/, 'an action that changes the key, and a unique constraint without it');
$c->query('DROP TABLE q; CREATE TABLE q (k bigint REFERENCES p)');
fails("SELECT create_distributed_table_concurrently('q', 'k')", qr/cannot distribute tables "q" and "p" together.*types/s, 'keys of different types');
$c->query('DROP TABLE q, p');

# several at once
$c->query('CREATE TABLE a (x int PRIMARY KEY); CREATE TABLE b (y int PRIMARY KEY); CREATE TABLE d (z int REFERENCES b); INSERT INTO a VALUES (1); INSERT INTO b VALUES (2); INSERT INTO d VALUES (2)');
like(notices("SELECT rehouse.distribute_concurrently(ARRAY['a', 'b']::regclass[], ARRAY['x', 'y'])"), qr/table "d" is distributed too, because a foreign key connects it with "b"/, 'two tables, a column each');
is($c->query('SELECT count(*) FROM citus_tables'), '3', 'and what comes along');
is($c->query('SELECT x, y, z FROM a, b, d'), '1|2|2', 'with their rows');
state_is_clean('after several');
$c->query('DROP TABLE d, b, a');

# a foreign key to a reference table, and a reader of everything
$c->query("CREATE TABLE kind (id int PRIMARY KEY); INSERT INTO kind VALUES (1), (2); SELECT create_reference_table('kind')");
$c->query('CREATE TABLE thing (k int, kind int REFERENCES kind, PRIMARY KEY (k)); INSERT INTO thing SELECT i, 1 + i % 2 FROM generate_series(1, 50) i');
is(notices("SELECT create_distributed_table_concurrently('thing', 'k')"), '', 'a table that references a reference table');
is($c->query('SELECT count(*) FROM thing JOIN kind ON kind.id = thing.kind'), '50', 'its rows');
fails('INSERT INTO thing VALUES (99, 3)', qr/23503.*thing_kind_fkey/, 'the foreign key holds');
fails('DELETE FROM kind WHERE id = 2', qr/23503.*thing_kind_fkey/, 'from the other side too');
state_is_clean('after a reference table');
$c->query('DROP TABLE thing, kind');

# rows without a key
$c->query('CREATE TABLE n (k int, v int); INSERT INTO n VALUES (1, 1), (NULL, 2)');
fails("SELECT create_distributed_table_concurrently('n', 'k')", qr/distribution column "k" has null values/, 'rows without a key');
is($c->query('SELECT count(*) FROM n'), '2', 'the table is as before');
is($c->query("SELECT relreplident FROM pg_class WHERE relname = 'n'"), 'd', 'its replica identity too');
state_is_clean('after an error');
$c->query('DROP TABLE n');

# an owner who is no superuser
$_->query('CREATE ROLE t37_owner LOGIN') for $c, $cluster->workers;
$c->query('GRANT CREATE ON SCHEMA public TO t37_owner; CREATE TABLE theirs (k int PRIMARY KEY); GRANT REFERENCES ON theirs TO t37_owner');
my $owner = RehouseSession->new($c, user => 't37_owner');
$owner->query('CREATE TABLE own (k int PRIMARY KEY, v text); INSERT INTO own SELECT i, i FROM generate_series(1, 100) i');
$owner->query("SELECT create_distributed_table_concurrently('own', 'k')");
is($owner->query('SELECT count(*) FROM own'), '100', 'the owner need not be a superuser');
my (undef, $refused) = $owner->try("SELECT create_distributed_table_concurrently('theirs', 'k')");
like($refused, qr/42501.*must be owner of table theirs/, 'but the owner');
$owner->query('CREATE TABLE mixed (k int PRIMARY KEY REFERENCES theirs)');
(undef, $refused) = $owner->try("SELECT create_distributed_table_concurrently('mixed', 'k')");
like($refused, qr/42501.*must be owner of table theirs/, 'of all tables that come along');
$owner->close;
state_is_clean('after an owner');
$c->query('DROP TABLE mixed, theirs, own');

# a worker that stays away: it is given up, and the tables are local again at once
$c->query('ALTER SYSTEM SET rehouse.step_attempts = 2; SELECT pg_reload_conf()');
$c->query('CREATE TABLE w (k int PRIMARY KEY, v int); INSERT INTO w SELECT i, i FROM generate_series(1, 100) i');
$c->query("SELECT rehouse.debug_arm('transfer-copied-table', 'wait')");
my $caller = $c->session;
$caller->send("SELECT create_distributed_table_concurrently('w', 'k')");
$c->poll("SELECT rehouse.debug_waiting('transfer-copied-table')");
$cluster->worker(2)->kill9;
$c->query("SELECT rehouse.debug_disarm('transfer-copied-table')");
$c->poll("SELECT count(*) = 0 FROM rehouse.tables WHERE relation = 'w'::regclass");
is($c->query('UPDATE w SET v = v + 1; SELECT count(*), sum(v) FROM w'), '100|5150', 'without a worker the table is as before');
my (undef, $said) = $caller->finish(120);
like($said, qr/ERROR:  08\w{3}: .*CONTEXT:.*job \d+ failed \(distribute/s, 'the caller is told, by the error that it was');
$caller->close;
$cluster->worker(2)->start;
state_is_clean('when the worker is back');
is(notices("SELECT create_distributed_table_concurrently('w', 'k')"), '', 'and it can be done then');
is($c->query('SELECT count(*), sum(v) FROM w'), '100|5150', 'with all rows');

done_testing();
