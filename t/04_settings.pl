# Every setting stands in docs/operators.md (those that are accepted without effect: in
# docs/settings.md) with its default, who changes it and what it is, and none that is gone.
# When this fails, it prints the lines that belong there.  And what documented names do.
use strict;
use warnings;
use Test::More;
use RehouseCluster;

my $cluster = RehouseCluster->new(workers => 0);
my @defined = split /\n/, $cluster->coordinator->query(q{
	SELECT format('| `%s` | %s | %s | %s |', name,
		CASE WHEN boot_val = '' THEN '(empty)' ELSE boot_val || coalesce(' ' || unit, '') END,
		CASE context WHEN 'user' THEN 'anybody' WHEN 'superuser' THEN 'superuser' WHEN 'sighup' THEN 'reload' ELSE 'restart' END,
		short_desc || coalesce(' ' || extra_desc, ''))
	FROM pg_settings WHERE name ~ '^(rehouse|citus)\.' ORDER BY name LIKE 'citus%', name});
for my $page (['docs/operators.md', 0], ['docs/settings.md', 1])
{
	my ($name, $without_effect) = @$page;
	open my $file, '<', $name or die;
	my @documented = grep { /^\| `(?:rehouse|citus)\.\w+` \| [^|]* \| (?:anybody|superuser|reload|restart) \|/ } map { chomp; $_ } <$file>;
	my @expected = grep { $without_effect == /\| Accepted, without effect\./ } @defined;
	is_deeply(\@documented, \@expected, "$name lists the settings") || diag(join "\n", @expected);
}

# ---- names that documented scripts set ----
my $c = $cluster->coordinator;
my $s = $c->session;
my ($rows, $messages) = $s->try("SET citus.multi_shard_modify_mode TO 'sequential'");
like($messages, qr/^NOTICE:.*setting "citus.multi_shard_modify_mode" has no effect\nDETAIL:  A session has one connection/s, 'a setting without effect says what happens instead');
is(($s->try("SET citus.multi_shard_modify_mode TO 'sequential'"))[1], '', 'once');
is($s->query('SHOW citus.multi_shard_modify_mode'), 'sequential', 'and keeps its value');
is(($s->try("SET citus.local_table_join_policy TO 'auto'; SET citus.shard_replication_factor = 1; SET citus.enable_ddl_propagation = on"))[1], '', 'a value that describes what happens says nothing');
like(($s->try('SET citus.enable_ddl_propagation TO off'))[1], qr/^WARNING:.*"citus.enable_ddl_propagation" has no effect/s, 'a warning where a script may rely on it');
like(($s->try("SET citus.local_table_join_policy TO 'sometimes'"))[1], qr/22023.*Available values: auto, never, prefer-local, prefer-distributed/s, 'values are checked');
like(($s->try("SET citus.shard_replication_factor = 'x'"))[1], qr/22023/, 'of numbers too');
like(($s->try('SET citus.multi_shard_modify_mod = 1'))[1], qr/ERROR:.*invalid configuration parameter name "citus.multi_shard_modify_mod"/s, 'an unknown name is an error');
like(($s->try("SELECT set_config('citus.nonesuch', '1', false)"))[1], qr/ERROR:.*invalid configuration parameter name "citus.nonesuch"/s, 'by whatever way');
like(($s->try('ALTER ROLE postgres SET citus.max_shared_pool_size = 50'))[1], qr/NOTICE:.*has no effect/s, 'said to who makes it a role\'s');
my $other = $c->session;
is($other->query('SHOW citus.max_shared_pool_size'), '50');
is(($other->try('SELECT 1'))[1], '', 'and not at each login');
$c->query('ALTER ROLE postgres RESET ALL');

open my $conf, '>>', $c->datadir . '/postgresql.conf' or die;
print $conf "citus.shard_count = 5\ncitus.nonesuch = 1\ncitus.recover_2pc_interval = '5min'\n";
close $conf;
$c->restart;
is($c->query('SHOW citus.recover_2pc_interval'), '5min', 'in postgresql.conf');
like($c->log_text, qr/LOG:  setting "citus.recover_2pc_interval" has no effect/, 'said in the log');
like($c->log_text, qr/invalid configuration parameter name "citus.nonesuch"/, 'with what is unknown');
is($c->query('SELECT count(*) FROM pg_settings WHERE name = \'citus.nonesuch\''), '0', 'which is left out');
done_testing();
