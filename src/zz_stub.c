#include "postgres.h"
#include "src/gather.h"
PlannedStmt *rh_gather_plan(Query *p, const char *q, int c, ParamListInfo b) { ereport(ERROR,(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),errmsg("GATHER"))); return NULL; }
