# Every setting stands in docs/operators.md, with its default, and none that is gone.
use strict;
use warnings;
use Test::More;
use RehouseCluster;

my $cluster = RehouseCluster->new(workers => 0);
my $rows = $cluster->coordinator->query(
	"SELECT name, CASE WHEN boot_val = '' THEN '(empty)' ELSE boot_val || coalesce(' ' || nullif(unit, ''), '') END FROM pg_settings
	 WHERE name ~ '^(rehouse|citus)\\.' ORDER BY 1");
open my $file, '<', 'docs/operators.md' or die;
my %documented = map { /^\| `((?:rehouse|citus)\.\w+)` \| ([^|]*) \| (?:anybody|superuser|reload|restart) \|/ ? ($1 => $2 =~ s{\s+$}{}r) : () } <$file>;
my %defined = map { split /\|/, $_, 2 } split /\n/, $rows;
is_deeply(\%documented, \%defined, 'docs/operators.md lists the settings with their defaults');
done_testing();
