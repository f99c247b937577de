# Every function of the library: called where the library is not preloaded, by an
# ordinary user, and with NULLs and nonsense.  Errors are fine, crashes are not.
use strict;
use warnings;
use Test::More;
use RehouseCluster;

my $cluster = RehouseCluster->new(workers => 1);
my $c = $cluster->coordinator;

# name(arguments), strict, volatile, return type, identity
my @functions = map { [ split /\|/ ] } split /\n/, $c->query(q{
	SELECT p.oid::regprocedure, format('%I.%I', n.nspname, p.proname),
		(SELECT coalesce(string_agg(a::regtype::text, ';' ORDER BY i), '') FROM unnest(p.proargtypes) WITH ORDINALITY u (a, i)), p.prosrc
	FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
		JOIN pg_depend d ON d.objid = p.oid AND d.classid = 'pg_proc'::regclass AND d.deptype = 'e'
		JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'rehouse'
		JOIN pg_language l ON l.oid = p.prolang
	WHERE l.lanname = 'c' AND p.provolatile <> 'i' AND p.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype) ORDER BY 1});
cmp_ok(scalar @functions, '>', 5, 'functions are found');

# A plausible value of a type.
sub value
{
	my ($type) = @_;
	return "'pg_class'::regclass" if $type eq 'regclass';
	return "'hash'::$type" if $type =~ /distribution_type/;
	return "'auto'::$type" if $type =~ /shard_transfer_mode/;
	return "'primary'::$type" if $type eq 'noderole';
	return "'{}'::$type" if $type =~ /\[\]$/;
	return "1::$type" if $type =~ /^(bigint|integer|smallint|real|double|numeric|oid)/;
	return "false" if $type eq 'boolean';
	return "'5'::text" if $type =~ /^("any"|anyelement)$/;
	return "'1 s'::interval" if $type eq 'interval';
	return "'now'::$type" if $type =~ /^timestamp/;
	return "'citus_version'::regproc" if $type eq 'regproc';
	return "'citus_version()'::regprocedure" if $type eq 'regprocedure';
	return "'0/0'::pg_lsn" if $type eq 'pg_lsn';
	return "'{}'::$type" if $type =~ /^json/;
	return "'default'::name" if $type eq 'name';
	return "'127.0.0.1'::$type";
}

sub call { my ($function, $make) = @_; return "SELECT * FROM $function->[1](" . join(', ', map { $make->($_) } split /;/, $function->[2] // '') . ')'; }

subtest 'nonsense, as a superuser' => sub {
	for my $function (grep { $_->[0] !~ /debug_/ } @functions)
	{
		for my $make (\&value, sub { $_[0] =~ /any/ ? 'NULL::text' : "NULL::$_[0]" })
		{
			my ($status, undef, $messages) = $c->try("SET statement_timeout = '10s'; " . call($function, $make), args => [ '-v', 'VERBOSITY=verbose' ]);
			unlike($messages, qr/server closed|connection to server was lost|XX000|57014/, call($function, $make));
		}
	}
	is($c->query('SELECT count(*) FROM rehouse.nodes'), '0', 'nothing was changed');
};

subtest 'as an ordinary user' => sub {
	$c->query('CREATE ROLE plain_user LOGIN');
	for my $function (@functions)
	{
		my ($status, undef, $messages) = $c->try("SET statement_timeout = '10s'; " . call($function, \&value), user => 'plain_user');
		unlike($messages, qr/server closed|connection to server was lost|XX000|57014/, call($function, \&value));
		next unless $function->[1] =~ /add_|remove|activate|disable|drain|move|rebalance_(start|stop|table)|isolate|release|cancel|set_|update_|run_command_on_workers|debug_|take_over/;
		next if $function->[1] =~ /update_distributed_table/;
		like($messages, qr/42501/, 'is refused');
	}
};

subtest 'not preloaded' => sub {
	$c->{conf}{shared_preload_libraries} = '';
	$c->restart;
	my @silent;
	for my $function (@functions)
	{
		my ($status, undef, $messages) = $c->try("SET statement_timeout = '10s'; " . call($function, \&value));
		unlike($messages, qr/server closed|connection to server was lost|XX000|57014/, call($function, \&value));
		push @silent, "$function->[0]: " . ($messages =~ /((?:ERROR|WARNING):.*)/ ? $1 : 'no error') unless $messages =~ /55000|shared_preload_libraries/ || $function->[1] =~ /debug_|wake_keeper|remote_part|column_|rebalance_strategy/;
	}
	is(join("\n", @silent), '', 'each says so');
};

done_testing();
