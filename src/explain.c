/*-------------------------------------------------------------------------
 *
 * explain.c
 *	  What EXPLAIN says about single-tenant statements.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/explain.h"
#include "lib/stringinfo.h"
#include "src/router.h"
#include "src/template.h"

/* The node as "host:port". */
static void
explain_node(RouterScanState *state, ExplainState *es)
{
	char		name[RH_HOST_LEN + 16];
	RhNode		node;

	if (!rh_map_node(state->placement.node_id, &node))
		return;
	snprintf(name, sizeof(name), "%s:%d", node.host, node.port);
	ExplainPropertyText("Node", name, es);
}

void
rh_router_explain(CustomScanState *css, List *ancestors, ExplainState *es)
{
	RouterScanState *state = (RouterScanState *) css;
	bool		located = rh_router_locate(state);

	ExplainPropertyText("Way", "single-tenant", es);
	if (located)
	{
		explain_node(state, es);
		ExplainPropertyUInteger("Bucket", NULL, state->placement.bucket_id, es);
	}
	else
		ExplainPropertyText("Node", "known at execution", es);
	if (es->verbose)
	{
		StringInfoData sql;
		RhPlacement nowhere = {0};

		initStringInfo(&sql);
		rh_template_render(&sql, state->template, located ? &state->placement : &nowhere);
		ExplainPropertyText("Remote SQL", sql.data, es);
	}
}
