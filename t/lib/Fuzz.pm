package Fuzz;

# A generator of random statements over a few small tables, made so that every
# statement has one right answer: constants are small, orders are total, no
# error depends on the order of evaluation.
#
# Integers that may become parameters stand between \x01 and \x02 in the text.

use strict;
use warnings;

# Columns by table; the first is the key, or what stands for it.
our %tables = (
	a => { k => 'int', id => 'int', x => 'int', y => 'int', s => 'text' },
	b => { k => 'int', id => 'int', x => 'int', y => 'int', s => 'text' },
	c => { k => 'int', id => 'int', x => 'int', y => 'int', s => 'text' },
	e => { k => 'text', id => 'int', x => 'int', y => 'int', s => 'text' },
	l => { k => 'int', id => 'int', x => 'int', y => 'int', s => 'text' },
	p => { k => 'int', id => 'int', x => 'int', y => 'int', s => 'text' },
	f => { k => 'int', id => 'int', x => 'int', y => 'int', s => 'text' },
	m => { k => 'int', id => 'int', x => 'int', y => 'int', s => 'text' },
	r => { k => 'int', id => 'int', x => 'int', y => 'int', s => 'text' });
my @columns = qw(k id x y s);

our $schema = <<'SQL';
CREATE TABLE a (k int NOT NULL, id int NOT NULL, x int CHECK (x < 60), y int, s text, PRIMARY KEY (k, id));
CREATE TABLE b (k int NOT NULL, id int NOT NULL, x int, y int, s text, PRIMARY KEY (k, id));
CREATE TABLE c (k int NOT NULL, id int, x int, y int, s text);
CREATE TABLE e (k text NOT NULL, id int NOT NULL, x int, y int, s text, PRIMARY KEY (k, id));
CREATE TABLE l (k int, id int NOT NULL PRIMARY KEY, x int, y int, s text);
CREATE TABLE p (k int NOT NULL, id int NOT NULL, x int, y int, s text, PRIMARY KEY (k, id)) PARTITION BY RANGE (id);
CREATE TABLE p1 (id int NOT NULL, s text, y int, x int, k int NOT NULL);
ALTER TABLE p ATTACH PARTITION p1 FOR VALUES FROM (MINVALUE) TO (3);
CREATE TABLE p2 PARTITION OF p DEFAULT;
CREATE TABLE r (k int, id int PRIMARY KEY, x int REFERENCES r ON DELETE SET NULL ON UPDATE CASCADE, y int, s text);
CREATE TABLE f (k int NOT NULL, id int NOT NULL, x int REFERENCES r ON DELETE SET NULL ON UPDATE CASCADE, y int, s text, PRIMARY KEY (k, id),
	FOREIGN KEY (k, y) REFERENCES b ON DELETE CASCADE ON UPDATE CASCADE);
CREATE TABLE m (k int, id int NOT NULL PRIMARY KEY, x int, y int, s text, FOREIGN KEY (k, x) REFERENCES a ON DELETE SET NULL (x) ON UPDATE CASCADE);
SQL
our $distribute = <<'SQL';
SELECT create_distributed_table('a', 'k', shard_count => 6);
SELECT create_distributed_table('b', 'k', colocate_with => 'a');
SELECT create_distributed_table('c', 'k', colocate_with => 'a');
SELECT create_distributed_table('e', 'k', shard_count => 4, colocate_with => 'none');
SELECT create_distributed_table('p', 'k', colocate_with => 'a');
SELECT create_reference_table('r');
SELECT create_distributed_table('f', 'k', colocate_with => 'a');
SQL
our $fill = <<'SQL';
TRUNCATE a, b, c, e, l, p, f, m, r;
INSERT INTO a SELECT k, id, nullif((k * id) % 5, 2), nullif(id % 4, 0), nullif(chr(96 + (k + id) % 4), '`') FROM generate_series(1, 6) k, generate_series(1, 4) id WHERE (k + id) % 5 > 0;
INSERT INTO b SELECT k, id, nullif((k + 2 * id) % 5, 3), nullif(k % 3, 0), nullif(chr(96 + (k * id) % 4), '`') FROM generate_series(1, 7) k, generate_series(1, 4) id WHERE (k * id) % 4 > 0;
INSERT INTO c SELECT k, nullif(id % 4, 0), nullif((k + id) % 4, 3), nullif(id, 3), nullif(chr(96 + (k + 2 * id) % 5), '`') FROM generate_series(0, 5) k, generate_series(1, 5) id WHERE (k + id) % 3 > 0;
INSERT INTO e SELECT chr(96 + k), id, nullif((k * id) % 5, 1), nullif(k, 2), nullif(chr(96 + id % 3), '`') FROM generate_series(1, 4) k, generate_series(1, 4) id WHERE (k + id) % 4 > 0;
INSERT INTO l SELECT nullif(id % 7, 3), id, nullif(id % 5, 0), nullif(id % 3, 1), nullif(chr(96 + id % 4), '`') FROM generate_series(1, 12) id;
INSERT INTO p SELECT k, id, nullif((k + 2 * id) % 6, 3), nullif(k % 3, 1), nullif(chr(96 + (k * id) % 3), '`') FROM generate_series(1, 6) k, generate_series(1, 5) id WHERE (k * id) % 4 < 3;
INSERT INTO r SELECT nullif(id % 5, 2), id, nullif(id / 2, 0), nullif(id % 4, 1), nullif(chr(96 + id % 4), '`') FROM generate_series(1, 9) id;
INSERT INTO f SELECT k, n + 2 * id, 1 + (k + id) % 5, id, nullif(chr(96 + (k + id) % 4), '`') FROM b, generate_series(0, 1) z (n) WHERE (k + id) % 3 > 0;
INSERT INTO m SELECT k, row_number() OVER (ORDER BY k, id), id, nullif(k, 2), s FROM a WHERE (k + 2 * id) % 3 = 0;
SQL

my ($tenant, $alias_number, $budget, %ctes);

sub pick { return $_[ int rand @_ ]; }
sub chance { return rand() < $_[0]; }

# ---------------------------------------------------------------------
# Expressions.  A scope is a list of [alias, {column => type}], inner ones first.
# ---------------------------------------------------------------------

sub number { my $n = @_ ? $_[0] : int rand 7; return "\x01$n\x02"; }
sub text_constant { return pick("'a'", "'b'", "'c'", "'d'", "''", "'ab'"); }

sub column
{
	my ($scope, $type) = @_;
	my @found;
	for my $entry (@$scope)
	{
		push @found, map { "$entry->[0].$_" } grep { $entry->[1]{$_} eq $type } sort keys %{ $entry->[1] };
	}
	return @found ? pick(@found) : undef;
}

sub expression
{
	my ($scope, $type, $depth) = @_;
	$depth //= 2;
	return int_expression($scope, $depth) if $type eq 'int';
	return text_expression($scope, $depth) if $type eq 'text';
	return condition($scope, $depth);
}

sub int_expression
{
	my ($scope, $depth) = @_;
	my $column = column($scope, 'int');
	return $column if $column && (chance(0.55) || $depth <= 0);
	return number() if $depth <= 0 || chance(0.3);
	my $sub = sub { int_expression($scope, $depth - 1) };
	return pick(
		sub { "(" . $sub->() . " + " . $sub->() . ") % 7" },
		sub { "coalesce(" . $sub->() . ", " . $sub->() . ")" },
		sub { "nullif(" . $sub->() . ", " . $sub->() . ")" },
		sub { "CASE WHEN " . condition($scope, $depth - 1) . " THEN " . $sub->() . " ELSE " . $sub->() . " END" },
		sub { "length(" . text_expression($scope, $depth - 1) . ")" },
		sub { "NULL::int" },
		sub { scalar_select($scope, 'int', $depth) },
		sub { "greatest(" . $sub->() . ", " . $sub->() . ")" })->();
}

sub text_expression
{
	my ($scope, $depth) = @_;
	my $column = column($scope, 'text');
	return $column if $column && (chance(0.6) || $depth <= 0);
	return text_constant() if $depth <= 0 || chance(0.4);
	my $sub = sub { text_expression($scope, $depth - 1) };
	return pick(
		sub { "upper(" . $sub->() . ")" },
		sub { "coalesce(" . $sub->() . ", " . text_constant() . ")" },
		sub { "left(" . $sub->() . " || " . $sub->() . ", 3)" },
		sub { "(" . int_expression($scope, $depth - 1) . ")::text" },
		sub { "NULL::text" },
		sub { scalar_select($scope, 'text', $depth) })->();
}

sub scalar_select
{
	my ($scope, $type, $depth) = @_;
	return $type eq 'int' ? number() : text_constant() if $budget <= 0;
	my ($from, $where, $inner) = from_clause(1, $scope);
	my $all = [ @$inner, @$scope ];
	$where = where_clause($where, $all, $depth - 1);
	my $value = expression($inner, $type, 0);
	return pick(
		"(SELECT max($value) FROM $from$where)",
		"(SELECT min($value) FROM $from$where)",
		($type eq 'int' ? ("(SELECT count(*)::int FROM $from$where)", "(SELECT count($value)::int FROM $from$where)",
				"(SELECT sum($value)::int % 9 FROM $from$where)") : ()),
		"(SELECT $value FROM $from$where ORDER BY 1 LIMIT 1)",
		"(SELECT $value FROM $from$where ORDER BY 1 DESC NULLS LAST LIMIT 1 OFFSET " . number(1) . ")");
}

sub condition
{
	my ($scope, $depth) = @_;
	my $int = sub { int_expression($scope, $depth - 1) };
	my $text = sub { text_expression($scope, $depth - 1) };
	my $sub = sub { condition($scope, $depth - 1) };
	my @ways = (
		sub { $int->() . " " . pick('=', '<>', '<', '>', '<=', '>=') . " " . $int->() },
		sub { $int->() . " " . pick('=', '<', '>=') . " " . number() },
		sub { $int->() . " IS " . pick('', 'NOT ') . "NULL" },
		sub { $text->() . " " . pick('=', '<>', '<', '>') . " " . $text->() },
		sub { $text->() . " IS " . pick('', 'NOT ') . "NULL" },
		sub { $int->() . " IS " . pick('', 'NOT ') . "DISTINCT FROM " . $int->() },
		sub { $int->() . pick(' ', ' NOT ') . "IN (" . join(', ', map { $int->() } 1 .. 1 + int rand 3) . ")" },
		sub { $text->() . pick(' ', ' NOT ') . "IN ('a', 'c', '')" },
		sub { $int->() . " BETWEEN " . number() . " AND " . number() },
		sub { pick('true', 'true', 'false', 'NULL::boolean') });
	push @ways, (
		sub { "(" . $sub->() . " OR " . $sub->() . ")" },
		sub { "(" . $sub->() . " AND " . $sub->() . ")" },
		sub { "NOT (" . $sub->() . ")" },
		sub { "(" . $sub->() . ") IS " . pick('TRUE', 'NOT TRUE', 'FALSE', 'UNKNOWN') },
		(sub { link_select($scope, $depth) }) x 3) if $depth > 0;
	return pick(@ways)->();
}

# EXISTS, IN, NOT IN, ANY, ALL
sub link_select
{
	my ($scope, $depth) = @_;
	return 'true' if $budget <= 0;
	if (chance(0.35))
	{
		my $type = pick('int', 'int', 'text');
		my $select = select_statement([$type], chance(0.5) ? $scope : [], $depth - 1);
		my $value = expression($scope, $type, 0);
		return "$value " . pick('IN', 'NOT IN', '= ANY', '<> ALL', '< ANY', '>= ALL') . " ($select)";
	}
	my ($from, $where, $inner) = from_clause(pick(1, 1, 2), $scope);
	my $all = [ @$inner, @$scope ];
	if (chance(0.5) && (my $left = key_column($scope)) && (my $right = key_column($inner)))
	{
		push @$where, "$right = $left";
	}
	$where = where_clause($where, $all, $depth - 1);
	return pick('', 'NOT ') . "EXISTS (SELECT 1 FROM $from$where)" if chance(0.6);
	my $left = key_column($scope) // return 'true';
	my $right = key_column($inner) // return 'true';
	return "$left" . pick(' ', ' NOT ') . "IN (SELECT $right FROM $from$where)";
}

sub key_column
{
	my ($scope) = @_;
	my @found = grep { ($_->[1]{k} // '') eq 'int' } @$scope;
	return @found ? pick(@found)->[0] . '.k' : undef;
}

# Something said of a key column.
sub key_condition
{
	my ($column, $type) = @_;
	if ($type eq 'text')
	{
		my ($c, $d) = map { pick("'a'", "'b'", "'c'", "'d'") } 1, 2;
		return pick("$column = $c", "$column = $c", "$column IN ($c, $d)", "$column = $c || ''", "$column = lower(upper($c))",
			"$column = ${c}::varchar", "$column > $c", "$column LIKE $c");
	}
	my $n = number($tenant);
	return "$column = $n" if chance(0.5);
	my $m = number();
	return pick("$n = $column", "$column = $n + 0", "$column = $n OR $column = $m", "$column IN ($n, $m)", "$column IN ($n)",
		"$column BETWEEN $n AND $m", "$column BETWEEN $n AND $n", "$column = ANY (ARRAY[$n, $m])", "$column = ANY (ARRAY[$n])",
		"$column = $n AND $column = $m", "$column = ${n}::bigint", "$column = ${n}::smallint", "$column = ${n}::numeric",
		"${column}::bigint = $n", "NOT ($column <> $n)", "$column IS NOT DISTINCT FROM $n", "$column = (SELECT $n)",
		"$column = NULL", "$column = NULL::int", "$column < $n", "$column <> $n", "$column + 0 = $n", "($column, 1) = ($n, 1)",
		"$column = abs($n)", "$column = coalesce($n, $m)", "$column = nullif($n, $m)", "$column % 2 = 0",
		"($column = $n) IS TRUE", "$column = CASE WHEN $n > 3 THEN $n ELSE $m END", "$column IN (VALUES ($n), ($m))") =~ s/(.*)/($1)/r;
}

# ---------------------------------------------------------------------
# FROM
# ---------------------------------------------------------------------

# (item, condition on its key or undef, scope entry)
sub from_item
{
	my ($outer, $lateral) = @_;
	my $alias = 't' . ++$alias_number;
	$budget--;
	my $way = rand;
	if ($way < 0.08 && %ctes)
	{
		my $cte = pick(sort keys %ctes);
		return ("$cte $alias", [ $alias, $ctes{$cte} ]);
	}
	if ($way < 0.12)
	{
		return ("(VALUES (" . number() . ", 'a'), (" . number() . ", 'b'), (NULL, 'c')) $alias (k, s)",
			[ $alias, { k => 'int', s => 'text' } ]);
	}
	if ($way < 0.15)
	{
		return ("generate_series(" . number(1) . ", " . number() . ") $alias (k)", [ $alias, { k => 'int' } ]);
	}
	if ($way < 0.3 && $budget > 0)
	{
		my @types = ('int', map { pick('int', 'int', 'text') } 1 .. int rand 3);
		my $select = select_statement(\@types, $lateral ? [ @$lateral, @$outer ] : $outer, 1, 1);
		my @names = ('k', map { "v$_" } 1 .. $#types);
		my %columns;
		@columns{@names} = @types;
		return (($lateral ? 'LATERAL ' : '') . "($select) $alias (" . join(', ', @names) . ")", [ $alias, \%columns ]);
	}
	my $table = pick(qw(a a a b b b c c e l p p f r r m));
	return ("$table $alias", [ $alias, $tables{$table} ]);
}

# from_clause(items, outer scope): (text, list of conditions, scope)
sub from_clause
{
	my ($count, $outer, $tied) = @_;
	$tied //= chance(0.6);
	my (@scope, @where);
	my ($text, $first) = from_item($outer);
	push @scope, $first;
	push @where, key_condition("$first->[0].k", $first->[1]{k}) if $first->[1]{k} && chance($tied ? 0.85 : 0.15);
	for (2 .. $count)
	{
		my $kind = pick('JOIN', 'JOIN', 'LEFT JOIN', 'LEFT JOIN', 'RIGHT JOIN', 'FULL JOIN', ',', 'CROSS JOIN');
		my $lateral = $kind =~ /^(JOIN|LEFT JOIN|,)$/ && chance(0.3) ? [@scope] : undef;
		my ($item, $entry) = from_item($outer, $lateral);
		my @on;
		my ($left, $right) = (key_column(\@scope), key_column([$entry]));
		push @on, chance(0.5) ? "$left = $right" : "$right = $left" if $left && $right && chance(0.75);
		push @on, "$entry->[0].id = " . $scope[0][0] . ".id" if $entry->[1]{id} && $scope[0][1]{id} && chance(0.4);
		my $target = $kind =~ /JOIN$/ && $kind ne 'CROSS JOIN' && chance(0.4) ? \@on : \@where;
		push @$target, key_condition("$entry->[0].k", $entry->[1]{k}) if $entry->[1]{k} && chance($tied ? 0.5 : 0.1);
		if ($kind ne ',' && $kind ne 'CROSS JOIN')
		{
			push @on, key_condition("$scope[0][0].k", $scope[0][1]{k}) if $scope[0][1]{k} && chance($tied ? 0.2 : 0.05);
			# FULL JOIN can do without a merge- or hash-joinable condition only when there is none
			push @on, condition([ $entry, @scope ], 0) if $kind ne 'FULL JOIN' && chance(0.25);
		}
		if ($kind eq ',' || $kind eq 'CROSS JOIN') { push @where, @on; $text .= $kind eq ',' ? " CROSS JOIN $item" : " CROSS JOIN $item"; }
		else
		{
			@on = ("$left = $right") if $kind eq 'FULL JOIN' && $left && $right && chance(0.7);
			@on = ('true') if !@on;
			$text .= " $kind $item ON " . join(' AND ', @on);
		}
		push @scope, $entry;
	}
	return ($text, \@where, \@scope);
}

sub where_clause
{
	my ($where, $scope, $depth) = @_;
	my @all = @$where;
	push @all, condition($scope, $depth < 0 ? 0 : $depth) if chance(0.4);
	return @all ? ' WHERE ' . join(' AND ', map { /\bOR\b/ ? "($_)" : $_ } @all) : '';
}

# ---------------------------------------------------------------------
# SELECT
# ---------------------------------------------------------------------

sub aggregate
{
	my ($scope, $type) = @_;
	my $filter = chance(0.25) ? ' FILTER (WHERE ' . condition($scope, 0) . ')' : '';
	my $value = expression($scope, $type, 0);
	my $distinct = chance(0.25) ? 'DISTINCT ' : '';
	return pick("min($value)$filter", "max($value)$filter", "string_agg($distinct$value, ',' ORDER BY $value)$filter") if $type eq 'text';
	return pick("count(*)$filter", "count($distinct$value)$filter", "sum($distinct$value)$filter", "min($value)$filter",
		"max($value)$filter", "(avg($value)$filter * 100)::int") =~ s/^(.*)$/($1)::int/r;
}

sub window
{
	my ($scope) = @_;
	my @all = map { my $entry = $_; map { "$entry->[0].$_" } sort keys %{ $entry->[1] } } @$scope;
	my $total = 'ORDER BY ' . join(', ', @all);
	my $some = pick(@all);
	my $value = int_expression($scope, 0);
	return pick("row_number() OVER ($total)", "row_number() OVER (PARTITION BY $some $total)", "rank() OVER (ORDER BY $some)",
		"count(*) OVER (PARTITION BY $some)", "sum($value) OVER (PARTITION BY $some)", "lag($value) OVER ($total)",
		"dense_rank() OVER (PARTITION BY $some ORDER BY $all[0])", "sum($value) OVER ($total ROWS UNBOUNDED PRECEDING)",
		"first_value($value) OVER (PARTITION BY $all[0] $total)") =~ s/^(.*)$/($1)::int/r;
}

# select_statement(types, outer scope, depth, key first): text without parentheses around
sub select_statement
{
	my ($types, $outer, $depth, $key_first) = @_;
	my $way = rand;
	if ($way < 0.15 && $depth > 0 && $budget > 2)
	{
		my @arms = map { "(" . select_statement($types, $outer, $depth - 1, $key_first) . ")" } 1 .. pick(2, 2, 3);
		my $text = join(' ', $arms[0], map { (pick('UNION', 'UNION ALL', 'UNION ALL', 'INTERSECT', 'INTERSECT ALL', 'EXCEPT', 'EXCEPT ALL'), $_) } @arms[ 1 .. $#arms ]);
		return $text . order_limit($types, 0.3);
	}
	my ($from, $where, $scope) = from_clause(pick(1, 1, 2, 2, 3), $outer);
	my $all = [ @$scope, @$outer ];
	my $text = where_clause($where, $all, $depth);
	my $key = $key_first ? key_column($scope) : undef;
	my @out = map { expression(chance(0.85) ? $scope : $all, $_, 1) } @$types;
	$out[0] = $key if $key && $types->[0] eq 'int' && chance(0.8);
	if ($way < 0.4)
	{
		# groups: outputs are group columns or aggregates
		my @group = $key && chance(0.7) ? ($key) : ();
		push @group, map { column($scope, pick('int', 'text')) // () } 1 .. int rand 2 if chance(0.6);
		my %seen;
		@group = grep { !$seen{$_}++ } @group;
		for my $i (0 .. $#out)
		{
			my @usable = grep { my ($alias, $name) = split /\./; my ($entry) = grep { $_->[0] eq $alias } @$scope; $entry->[1]{$name} eq $types->[$i] } @group;
			$out[$i] = @usable && chance(0.6) ? pick(@usable) : aggregate($scope, $types->[$i]);
		}
		$out[0] = $key if $key && $seen{$key} && $types->[0] eq 'int';
		my $having = chance(0.25) ? ' HAVING ' . pick('count(*) > ' . number(1), aggregate($scope, 'int') . ' ' . pick('<', '>=', '=') . ' ' . number()) : '';
		my $text2 = @group ? ' GROUP BY ' . (@group > 1 || chance(0.2) ? pick('', '', 'ROLLUP ', 'CUBE ', 'GROUPING SETS ') : '') . '(' . join(', ', @group) . ')' : '';
		return 'SELECT ' . join(', ', @out) . " FROM $from$text$text2$having" . order_limit($types, 0.3);
	}
	if ($way < 0.5)
	{
		return 'SELECT DISTINCT ' . join(', ', @out) . " FROM $from$text" . order_limit($types, 0.3);
	}
	if ($way < 0.55)
	{
		return "SELECT DISTINCT ON ($out[0]) " . join(', ', @out) . " FROM $from$text ORDER BY " . join(', ', $out[0] =~ /^[\x01']|^NULL/ ? 1 : $out[0], 1 .. @$types)
		  if $out[0] =~ /^t\d+\.\w+$/;
	}
	if ($way < 0.65)
	{
		for my $i (0 .. $#out) { $out[$i] = window($scope) if $types->[$i] eq 'int' && chance($i ? 0.6 : 0.2); }
	}
	return 'SELECT ' . join(', ', @out) . " FROM $from$text" . order_limit($types, 0.35);
}

sub order_limit
{
	my ($types, $odds) = @_;
	return '' unless chance($odds);
	my $order = ' ORDER BY ' . join(', ', map { $_ . pick('', '', ' DESC', ' NULLS FIRST', ' DESC NULLS LAST') } 1 .. @$types);
	$order .= ' LIMIT ' . number(pick(0 .. 6)) if chance(0.6);
	$order .= ' OFFSET ' . number(pick(0 .. 3)) if chance(0.3);
	return $order;
}

# WITH in front of a statement; what it defines may be used by from_item
sub with_clause
{
	my @list;
	my $recursive = '';
	for (1 .. pick(1, 1, 2))
	{
		my $name = 'w' . ++$alias_number;
		my $way = rand;
		if ($way < 0.2)
		{
			$recursive = 'RECURSIVE ';
			my ($start, $step) = map { pick(qw(a b c l)) } 1, 2;
			my ($n, $m) = (number($tenant), number());
			my $link = pick('r.k = w.k', 'r.k = w.k', "r.k = $n", 'true');
			push @list, "$name (k, v1) AS (SELECT k, id FROM $start" . pick('', " WHERE k = $n", " WHERE k = $n")
			  . " UNION SELECT r.k, (w.v1 + 1) % 5 FROM $name w JOIN $step r ON $link AND r.id = w.v1)";
			$ctes{$name} = { k => 'int', v1 => 'int' };
			next;
		}
		if ($way < 0.3)
		{
			my ($change) = change_statement(1);
			push @list, "$name (k, v1) AS ($change RETURNING k, id)";
			$ctes{$name} = { k => 'int', v1 => 'int' };
			next;
		}
		my @types = ('int', pick('int', 'text'));
		my $select = select_statement(\@types, [], 1, 1);
		push @list, "$name (k, v1) AS " . pick('', 'MATERIALIZED ', 'NOT MATERIALIZED ') . "($select)";
		$ctes{$name} = { k => 'int', v1 => $types[1] };
	}
	return "WITH $recursive" . join(', ', @list) . ' ';
}

# ---------------------------------------------------------------------
# Changes
# ---------------------------------------------------------------------

sub new_row
{
	my ($table) = @_;
	my $key = $table eq 'e' ? pick("'a'", "'b'", "'c'", "'z'") : number(chance(0.5) ? $tenant : int rand 8);
	return join ', ', $key, number(), pick(number(), 'NULL', number() . ' + 1', '70', number(), number()), pick(number(), 'NULL'), pick(text_constant(), 'NULL');
}

sub assignments
{
	my ($scope) = @_;
	my @set;
	push @set, 'x = ' . int_expression($scope, 1) if chance(0.7);
	push @set, 's = ' . text_expression($scope, 1) if chance(0.4);
	push @set, 'y = ' . pick(int_expression($scope, 1), 'DEFAULT', 'NULL') if !@set || chance(0.3);
	push @set, pick('k = 3', 'k = k', 'id = id + 10', "k = \x01$tenant\x02") if chance(0.04);
	return join ', ', @set;
}

# change_statement(int key only): (text without RETURNING, alias)
sub change_statement
{
	my ($plain) = @_;
	my $table = pick($plain ? qw(a b p f) : qw(a a b b c e l p f r r m));
	return merge_statement(pick(qw(a b p f r r l m))) if !$plain && chance(0.08);
	my $type = $table eq 'e' ? 'text' : 'int';
	my $alias = 'x' . ++$alias_number;
	my $scope = [ [ $alias, $tables{$table} ] ];
	my $way = rand;
	if ($way < 0.3)
	{
		my $text = "INSERT INTO $table AS $alias (k, id, x, y, s) VALUES " . join(', ', map { '(' . new_row($table) . ')' } 1 .. pick(1, 1, 2, 3, 4));
		return $text . conflict($table, $alias, $scope);
	}
	if ($way < 0.45)
	{
		my ($from, $where, $inner) = from_clause(pick(1, 1, 2), []);
		my $text = where_clause($where, $inner, 1);
		my $key = $type eq 'text' ? "'b'" : pick(key_column($inner) // number(), number($tenant));
		my $id = int_expression($inner, 0);
		return "INSERT INTO $table AS $alias (k, id, x, s) SELECT DISTINCT ON (1, 2) coalesce($key, " . ($type eq 'text' ? "'a'" : number(1)) . "), coalesce($id, 9), "
		  . int_expression($inner, 1) . ", " . text_expression($inner, 1) . " FROM $from$text ORDER BY 1, 2, 3, 4" . conflict($table, $alias, $scope)
		  if chance(0.4);
		my ($k, $i) = ($type eq 'text' ? pick("'a'", 'e.k') : 'e.k', pick('e.id', 'e.id + ' . number(4)));
		my $source = $type eq 'text' ? 'e' : pick(qw(a b p f));
		return "INSERT INTO $table AS $alias (k, id, x, y, s) SELECT $k, $i, e.y, e.x, e.s FROM $source e" . (chance(0.6) ? ' WHERE ' . key_condition('e.k', $tables{$source}{k}) : '')
		  . ($k eq "'a'" ? ' AND ' x 0 : '') . ($k eq "'a'" ? " ON CONFLICT DO NOTHING" x 0 : '') if $k eq 'e.k';
	}
	my @where;
	push @where, key_condition("$alias.k", $tables{$table}{k}) if chance(0.7);
	push @where, "$alias.id = " . number() if chance(0.3);
	if ($way < 0.6)
	{
		# one row of the other table at most for each of ours
		my $other = pick(grep { $tables{$_}{k} eq $type && $_ ne 'c' } qw(a b e p f));
		my $o = 'o' . $alias_number;
		my $both = [ @$scope, [ $o, $tables{$other} ] ];
		push @where, pick("$o.k = $alias.k", "$alias.k = $o.k"), "$alias.id = $o.id";
		push @where, key_condition("$o.k", $tables{$other}{k}) if chance(0.2);
		my $text = where_clause(\@where, $both, 1);
		return "UPDATE $table $alias SET " . assignments($both) . " FROM $other $o$text" if chance(0.6);
		return "DELETE FROM $table $alias USING $other $o$text";
	}
	if (chance(0.15))
	{
		my $other = pick(qw(a b p f l));
		my $lock = chance(0.3) ? ' ORDER BY q.k, q.id, q.x LIMIT ' . number() . ' FOR UPDATE' : '';
		push @where, "($alias.k, $alias.id) IN (SELECT q.k, q.id FROM $other q" . where_clause([], [ [ 'q', $tables{$other} ] ], 0) . "$lock)" if $type eq 'int';
	}
	my $text = where_clause(\@where, $scope, 2);
	return "UPDATE $table $alias SET " . assignments($scope) . $text if $way < 0.85;
	return "DELETE FROM $table $alias" . ($text || " WHERE $alias.id = " . number());
}

# MERGE of rows of which each matches one at most
sub merge_statement
{
	my ($table) = @_;
	my $alias = 'x' . ++$alias_number;
	my ($from, $where, $inner) = from_clause(pick(1, 1, 2), []);
	my $text = where_clause($where, $inner, 1);
	my $key = pick(key_column($inner) // number(), number($tenant));
	my $id = int_expression($inner, 0);
	my $source = "SELECT DISTINCT ON (1, 2) " . ($table =~ /^[lrm]$/ ? number(1) : "coalesce($key, " . number(1) . ")") . " AS k, coalesce($id, 9) AS id, "
	  . int_expression($inner, 1) . " AS x, " . text_expression($inner, 1) . " AS s FROM $from$text ORDER BY 1, 2, 3, 4";
	my $scope = [ [ $alias, $tables{$table} ], [ 'o', { k => 'int', id => 'int', x => 'int', s => 'text' } ] ];
	my $sql = "MERGE INTO $table $alias USING ($source) o ON " . ($table =~ /^[lrm]$/ ? '' : "$alias.k = o.k AND ") . "$alias.id = o.id";
	$sql .= " WHEN MATCHED AND " . condition($scope, 0) . " THEN " . pick('DELETE', 'DO NOTHING', 'UPDATE SET y = o.x') if chance(0.6);
	$sql .= " WHEN MATCHED THEN UPDATE SET " . assignments($scope) if chance(0.7);
	$sql .= " WHEN NOT MATCHED THEN INSERT (k, id, y, s) VALUES (o.k, o.id, o.x, o.s)" if chance(0.6) || $sql !~ /WHEN/;
	return $sql;
}

sub conflict
{
	my ($table, $alias, $scope) = @_;
	return '' if $table eq 'c' || chance(0.3);
	return ' ON CONFLICT DO NOTHING' if chance(0.35);
	my $target = $table =~ /^[lrm]$/ ? '(id)' : '(k, id)';
	return " ON CONFLICT $target DO NOTHING" if chance(0.3);
	my @set = pick("x = excluded.x", "x = ($alias.x + excluded.x) % 7", "s = excluded.s || 'u', y = " . number(), "x = DEFAULT", "k = excluded.k, y = excluded.y") =~ s/(.*)/$1/r;
	my $where = chance(0.3) ? ' WHERE ' . condition([ @$scope, [ 'excluded', $tables{$table} ] ], 0) : '';
	return " ON CONFLICT $target DO UPDATE SET @set$where";
}

sub returning
{
	my ($text) = @_;
	return '' if $text =~ /^MERGE/ || !chance(0.5);
	my ($alias) = $text =~ /\b(x\d+)\b/;
	return ' RETURNING ' . pick("$alias.*", "$alias.k, $alias.id, $alias.x", "$alias.id, $alias.s, coalesce($alias.x, " . number() . ")", "*" =~ s/.*/$alias.k/r);
}

# ---------------------------------------------------------------------
# Statements
# ---------------------------------------------------------------------

# One statement: { text =>, change => true when it changes rows, ordered => , rows => true when it returns rows }
sub statement
{
	my ($changes) = @_;
	($tenant, $alias_number, $budget, %ctes) = (1 + int rand 6, 0, 6);
	my $with = chance(0.2) ? with_clause() : '';
	my $change = $with =~ /RETURNING/;
	if (chance($changes))
	{
		my $text = change_statement(0);
		my $returning = returning($text);
		return { text => "$with$text$returning", change => 1, rows => $returning ne '' };
	}
	if (chance(0.03))
	{
		my $table = pick(qw(a b p f l));
		return { text => $with . "SELECT q.k, q.id, q.x FROM $table q" . where_clause([], [ [ 'q', $tables{$table} ] ], 0) . ' ORDER BY q.k, q.id, q.x LIMIT '
			  . number() . pick('', ' OFFSET ' . number(2)) . pick(' FOR UPDATE', ' FOR SHARE SKIP LOCKED', ' FOR NO KEY UPDATE NOWAIT'), change => $change, rows => 1 };
	}
	if (chance(0.08))
	{
		my ($from, $where, $scope) = from_clause(pick(1, 1, 2), []);
		return { text => $with . "SELECT " . join(', ', map { int_expression($scope, 0) } 1, 2) . " FROM $from" . where_clause($where, $scope, 1)
			  . pick(' FOR UPDATE', ' FOR SHARE', " FOR UPDATE OF $scope->[0][0]", ' FOR NO KEY UPDATE'), change => $change, rows => 1 };
	}
	my @types = map { pick('int', 'int', 'text', 'bool') } 1 .. pick(1, 2, 3, 4);
	my $select = select_statement(\@types, [], 2);
	my $order = '';
	my $ordered = 0;
	if ($select !~ /ORDER BY [^()]*\z/ && chance(0.2))
	{
		$select = "SELECT * FROM ($select) z ORDER BY " . join(', ', 1 .. @types);
		$ordered = 1;
	}
	return { text => "$with$select", change => $change, rows => 1, ordered => $ordered, types => \@types };
}

# The text with its numbers in place.
sub literal { return $_[0] =~ s/\x01(\d+)\x02/$1/gr; }

# The text with some numbers as parameters; the first values of these.
sub parameters
{
	my ($text, $name) = @_;
	my @values;
	$text =~ s/\x01(\d+)\x02/ @values < 12 && chance(0.6) ? do { push @values, $1; $name->(scalar @values) } : $1 /ge;
	return ($text, @values);
}

# Other values for the same parameters, now and then a null.
sub vary { return map { chance(0.4) ? $_ : chance(0.06) ? 'NULL' : int rand 7 } @_; }

1;
