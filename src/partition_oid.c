/*-------------------------------------------------------------------------
 *
 * partition_oid.c
 *	  The tableoid of rows of a partitioned table.
 *
 * The OIDs of shards mean nothing here, and differ from bucket to bucket; the
 * partitions' names are the same everywhere.  So a node says
 *
 *	  CASE (parse_ident(tableoid::regclass::text))[2]
 *		WHEN 'events_2024' THEN 16402::oid .. END
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/value.h"
#include "src/partition.h"
#include "src/partition_oid.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

static Expr *
make_text(const char *value)
{
	return (Expr *) makeConst(TEXTOID, -1, DEFAULT_COLLATION_OID, -1, CStringGetTextDatum(value),
							  false, false);
}

/* (parse_ident(tableoid::regclass::text))[2]: the name without the schema. */
static Expr *
relation_name(Index varno)
{
	Var		   *var = makeVar(varno, TableOidAttributeNumber, OIDOID, -1, InvalidOid, 0);
	CoerceViaIO *name = makeNode(CoerceViaIO);
	SubscriptingRef *part = makeNode(SubscriptingRef);

	name->arg = (Expr *) makeRelabelType((Expr *) var, REGCLASSOID, -1, InvalidOid,
										 COERCE_EXPLICIT_CAST);
	name->resulttype = TEXTOID;
	name->resultcollid = DEFAULT_COLLATION_OID;
	name->coerceformat = COERCE_EXPLICIT_CAST;
	name->location = -1;
	part->refcontainertype = TEXTARRAYOID;
	part->refelemtype = TEXTOID;
	part->refrestype = TEXTOID;
	part->reftypmod = -1;
	part->refcollid = DEFAULT_COLLATION_OID;
	part->refupperindexpr = list_make1(makeConst(INT4OID, -1, InvalidOid, sizeof(int32),
												 Int32GetDatum(2), false, true));
	part->refexpr = (Expr *) makeFuncExpr(F_PARSE_IDENT, TEXTARRAYOID,
										  list_make2(name, makeBoolConst(true, false)),
										  DEFAULT_COLLATION_OID, DEFAULT_COLLATION_OID,
										  COERCE_EXPLICIT_CALL);
	return (Expr *) part;
}

/* WHEN the name THEN the OID. */
static CaseWhen *
make_when(const char *name, Oid relid)
{
	CaseTestExpr *tested = makeNode(CaseTestExpr);
	CaseWhen   *when = makeNode(CaseWhen);

	tested->typeId = TEXTOID;
	tested->typeMod = -1;
	tested->collation = DEFAULT_COLLATION_OID;
	when->expr = make_opclause(TextEqualOperator, BOOLOID, false, (Expr *) tested,
							   make_text(name), InvalidOid, DEFAULT_COLLATION_OID);
	when->result = (Expr *) makeConst(OIDOID, -1, InvalidOid, sizeof(Oid),
									  ObjectIdGetDatum(relid), false, true);
	when->location = -1;
	return when;
}

Expr *
rh_partition_oid_expr(Oid relid, Index varno)
{
	CaseExpr   *result = makeNode(CaseExpr);
	List	   *names = NIL;
	ListCell   *lc;

	result->casetype = OIDOID;
	result->arg = relation_name(varno);
	foreach(lc, rh_partition_tree(relid, NoLock))
	{
		String	   *name = makeString(get_rel_name(lfirst_oid(lc)));

		if (rh_is_partitioned(lfirst_oid(lc)))
			continue;
		if (list_member(names, name))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cannot tell partitions of distributed table \"%s\" by tableoid",
							get_rel_name(relid)),
					 errdetail("It has several partitions named \"%s\", in different schemas.",
							   strVal(name)),
					 errhint("Rename one of them.")));
		names = lappend(names, name);
		result->args = lappend(result->args, make_when(strVal(name), lfirst_oid(lc)));
	}
	result->defresult = (Expr *) makeNullConst(OIDOID, -1, InvalidOid);
	result->location = -1;
	return (Expr *) result;
}
