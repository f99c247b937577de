/*-------------------------------------------------------------------------
 *
 * ship_objects.c
 *	  Which of the user's objects the nodes of a statement's tables have.
 *
 * Nodes have what the tables need, and what was distributed by itself
 * (rehouse.objects).  A statement may name more, and some of it without a
 * word: a cast is printed by its types, the operators of ORDER BY and GROUP BY
 * not at all.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "catalog/dependency.h"
#include "catalog/pg_cast.h"
#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_ts_config.h"
#include "catalog/pg_ts_dict.h"
#include "catalog/pg_type.h"
#include "nodes/nodeFuncs.h"
#include "shmem/map.h"
#include "src/classify.h"
#include "src/objects.h"
#include "src/ship_objects.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

/* The type that an array or a domain is made of. */
static Oid
inner_type(Oid type)
{
	Oid			element = get_element_type(getBaseType(type));

	return getBaseType(OidIsValid(element) ? element : type);
}

/* Run func on the types of a relation's columns until it says so. */
static bool
any_column_type(Oid relid, bool (*func) (Oid type, void *arg), void *arg)
{
	Relation	rel = table_open(relid, NoLock);
	bool		found = false;

	for (int i = 0; !found && i < RelationGetNumberOfAttributes(rel); i++)
	{
		Oid			type = TupleDescAttr(RelationGetDescr(rel), i)->atttypid;

		if (OidIsValid(type))	/* else the column has been dropped */
			found = func(type, arg);
	}
	table_close(rel, NoLock);
	return found;
}

static bool
add_extension(Oid type, void *arg)
{
	List	  **extensions = arg;
	Oid			extension;

	type = inner_type(type);
	if (type < FirstNormalObjectId)
		return false;
	extension = getExtensionOfObject(TypeRelationId, type);
	if (OidIsValid(extension))
		*extensions = list_append_unique_oid(*extensions, extension);
	return false;
}

/* The distributed tables of the statement, and the extensions of their types. */
static void
look_at_tables(RhShipObjects *objects)
{
	ListCell   *lc;

	if (objects->known)
		return;
	objects->known = true;
	foreach(lc, rh_classify_relations(objects->query))
	{
		Oid			relid = ((RangeTblEntry *) lfirst(lc))->relid;
		RhTable		table;

		if (!rh_map_table(relid, &table) || list_member_oid(objects->relids, relid))
			continue;
		objects->relids = lappend_oid(objects->relids, relid);
		(void) any_column_type(relid, add_extension, &objects->extensions);
	}
}

bool
rh_ship_has_object(RhShipObjects *objects, Oid classid, Oid objid)
{
	Oid			extension;

	if (objid < FirstNormalObjectId)
		return true;
	look_at_tables(objects);
	extension = getExtensionOfObject(classid, objid);
	if (OidIsValid(extension))
		return list_member_oid(objects->extensions, extension) ||
			rh_objects_is_on_nodes(ExtensionRelationId, extension, objects->relids);
	return rh_objects_is_on_nodes(classid, objid, objects->relids);
}

/* Is a column's type the given one, or made of it? */
static bool
is_type_of_column(Oid type, void *arg)
{
	Oid			wanted = *(Oid *) arg;

	return type == wanted || get_element_type(getBaseType(type)) == wanted ||
		getBaseType(type) == wanted;
}

bool
rh_ship_has_type(RhShipObjects *objects, Oid type)
{
	Oid			element;
	ListCell   *lc;

	if (type < FirstNormalObjectId)
		return true;
	element = get_element_type(type);
	if (OidIsValid(element))
		return rh_ship_has_type(objects, element);
	if (type_is_multirange(type))
		return rh_ship_has_type(objects, get_multirange_range(type));
	if (get_typtype(type) == TYPTYPE_COMPOSITE &&
		get_rel_relkind(get_typ_typrelid(type)) != RELKIND_COMPOSITE_TYPE)
		return true;
	look_at_tables(objects);
	foreach(lc, objects->relids)
		if (any_column_type(lfirst_oid(lc), is_type_of_column, &type))
			return true;
	return rh_ship_has_object(objects, TypeRelationId, type);
}

bool
rh_ship_has_named(RhShipObjects *objects, Const *constant)
{
	Oid			classid = constant->consttype == REGCONFIGOID ? TSConfigRelationId :
		constant->consttype == REGDICTIONARYOID ? TSDictionaryRelationId : InvalidOid;
	Oid			objid = DatumGetObjectId(constant->constvalue);

	return objid < FirstNormalObjectId ||
		(OidIsValid(classid) && rh_ship_has_object(objects, classid, objid));
}

/* The cast from one type to another, when there is one in pg_cast. */
static Oid
find_cast(Oid source, Oid target)
{
	HeapTuple	tuple = SearchSysCache2(CASTSOURCETARGET, ObjectIdGetDatum(source),
										ObjectIdGetDatum(target));
	Oid			cast;

	if (!HeapTupleIsValid(tuple))
		return InvalidOid;
	cast = ((Form_pg_cast) GETSTRUCT(tuple))->oid;
	ReleaseSysCache(tuple);
	return cast;
}

static bool
has_cast(RhShipObjects *objects, Node *argument, Oid target)
{
	return rh_ship_has_object(objects, CastRelationId, find_cast(exprType(argument), target));
}

static bool
has_operators(RhShipObjects *objects, List *operators)
{
	ListCell   *lc;

	foreach(lc, operators)
		if (!rh_ship_has_object(objects, OperatorRelationId, lfirst_oid(lc)))
			return false;
	return true;
}

bool
rh_ship_has_names(RhShipObjects *objects, Node *node)
{
	switch (nodeTag(node))
	{
		case T_OpExpr:
		case T_DistinctExpr:
		case T_NullIfExpr:
			return rh_ship_has_object(objects, OperatorRelationId, ((OpExpr *) node)->opno);
		case T_ScalarArrayOpExpr:
			return rh_ship_has_object(objects, OperatorRelationId,
									  ((ScalarArrayOpExpr *) node)->opno);
		case T_RowCompareExpr:
			return has_operators(objects, ((RowCompareExpr *) node)->opnos);
		case T_SortGroupClause:
			return rh_ship_has_object(objects, OperatorRelationId,
									  ((SortGroupClause *) node)->eqop) &&
				rh_ship_has_object(objects, OperatorRelationId, ((SortGroupClause *) node)->sortop);
		case T_CollateExpr:
			return rh_ship_has_object(objects, CollationRelationId,
									  ((CollateExpr *) node)->collOid);
		case T_FuncExpr:
			return ((FuncExpr *) node)->funcformat == COERCE_EXPLICIT_CALL ||
				((FuncExpr *) node)->funcformat == COERCE_SQL_SYNTAX ||
				((FuncExpr *) node)->args == NIL ||
				(has_cast(objects, linitial(((FuncExpr *) node)->args), exprType(node)) &&
				 rh_ship_has_type(objects, exprType(node)));
		case T_RelabelType:
			return has_cast(objects, (Node *) ((RelabelType *) node)->arg, exprType(node)) &&
				rh_ship_has_type(objects, exprType(node));
		case T_CoerceViaIO:
			return has_cast(objects, (Node *) ((CoerceViaIO *) node)->arg, exprType(node)) &&
				rh_ship_has_type(objects, exprType(node));
		case T_Const:
		case T_Param:
		case T_ArrayCoerceExpr:
		case T_CoerceToDomain:
		case T_ArrayExpr:
		case T_RowExpr:
			return rh_ship_has_type(objects, exprType(node));
		default:
			return true;
	}
}
