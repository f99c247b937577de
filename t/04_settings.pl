# Every setting stands in docs/operators.md with its default, who changes it and what
# it is, and none that is gone.  When this fails, it prints the lines that belong there.
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
open my $file, '<', 'docs/operators.md' or die;
my @documented = grep { /^\| `(?:rehouse|citus)\.\w+` \| [^|]* \| (?:anybody|superuser|reload|restart) \|/ } map { chomp; $_ } <$file>;
is_deeply(\@documented, \@defined, 'docs/operators.md lists the settings') || diag(join "\n", @defined);
done_testing();
