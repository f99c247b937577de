/*-------------------------------------------------------------------------
 *
 * session_values.c
 *	  The application's own settings, which follow the session to the nodes.
 *
 * Asked for with every statement that goes to a node, so a session that has no
 * such setting pays for one comparison: the server counts its settings, and the
 * number grows when one is made.  They never go away again.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "src/session_values.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/guc_tables.h"
#include "utils/memutils.h"

static int	known_options = 0;	/* the server's settings when names was made */
static char **names = NULL;
static int	name_count = 0;
static bool tells_unforced = false; /* once it does, for the rest of the session */

/* Settings of ours that this version does not know stay here. */
static bool
follows(const struct config_generic *setting)
{
	return (setting->flags & GUC_CUSTOM_PLACEHOLDER) != 0 &&
		strncmp(setting->name, "rehouse.", strlen("rehouse.")) != 0 &&
		strncmp(setting->name, "rehouse_node.", strlen("rehouse_node.")) != 0 &&
		strncmp(setting->name, "citus.", strlen("citus.")) != 0;
}

static void
find_names(void)
{
	struct config_generic **settings = get_guc_variables();
	int			count = GetNumConfigOptions();

	for (int i = 0; i < name_count; i++)
		pfree(names[i]);
	name_count = 0;
	if (names != NULL)
		pfree(names);
	names = MemoryContextAlloc(TopMemoryContext, count * sizeof(char *));
	for (int i = 0; i < count; i++)
		if (follows(settings[i]))
			names[name_count++] = MemoryContextStrdup(TopMemoryContext, settings[i]->name);
	known_options = count;
}

const char *
rh_session_values(void)
{
	static StringInfoData text;

	if (known_options != GetNumConfigOptions())
		find_names();
	if (name_count == 0 && !tells_unforced)
		return "";
	if (text.data == NULL)
	{
		MemoryContext caller = MemoryContextSwitchTo(TopMemoryContext);

		initStringInfo(&text);
		MemoryContextSwitchTo(caller);
	}
	resetStringInfo(&text);
	for (int i = 0; i < name_count; i++)
	{
		const char *value = GetConfigOption(names[i], true, false);

		appendStringInfo(&text, "%spg_catalog.set_config(%s, %s, false)", i > 0 ? ", " : "",
						 quote_literal_cstr(names[i]), quote_literal_cstr(value ? value : ""));
	}
	if (tells_unforced)
		appendStringInfo(&text, "%spg_catalog.set_config('" RH_UNFORCED "', '%s', false)",
						 text.len > 0 ? ", " : "", InNoForceRLSOperation() ? "on" : "off");
	return text.data;
}

void
rh_session_values_tell_unforced(void)
{
	tells_unforced = true;
}
