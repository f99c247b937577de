/*-------------------------------------------------------------------------
 *
 * drop_record.c
 *	  What a DROP EXTENSION has to do on nodes, in a file that outlives a crash.
 *
 * The nodes' transactions commit after the coordinator's, which has dropped the
 * catalog in which everything else that must be finished is written down.  So
 * what they have to do stands in a file of the data directory,
 * rehouse_drops/<database>_<transaction>, from before the coordinator's commit
 * until all nodes are clean.  Whether that transaction has committed says the
 * commit log; the file is worth nothing without it.
 *
 * For that its id may not be given away again after a crash: the log is flushed
 * up to a record that bears it before the file is written.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/stat.h>
#include <unistd.h>

#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "bgw/drop_record.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "storage/procarray.h"
#include "utils/memutils.h"

#define DIRECTORY		"rehouse_drops"

static void
write_file(const char *path, const char *content)
{
	int			length = strlen(content);
	int			fd = OpenTransientFile(path, O_CREAT | O_TRUNC | O_WRONLY | PG_BINARY);

	if (fd < 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not create file \"%s\": %m", path)));
	errno = 0;
	if (write(fd, content, length) != length)
	{
		if (errno == 0)
			errno = ENOSPC;
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not write file \"%s\": %m", path)));
	}
	if (pg_fsync(fd) != 0 || CloseTransientFile(fd) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not write file \"%s\": %m", path)));
}

char *
rh_drop_record_write(const char *json)
{
	MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);
	char	   *path = psprintf(DIRECTORY "/%u_" UINT64_FORMAT, MyDatabaseId,
								U64FromFullTransactionId(GetTopFullTransactionId()));
	char	   *unfinished = psprintf("%s.tmp", path);

	MemoryContextSwitchTo(old);
	XLogFlush(XactLastRecEnd);
	if (MakePGDirectory(DIRECTORY) != 0 && errno != EEXIST)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not create directory \"%s\": %m", DIRECTORY)));
	fsync_fname(".", true);
	write_file(unfinished, json);
	(void) durable_rename(unfinished, path, ERROR);
	return path;
}

void
rh_drop_record_remove(const char *path)
{
	if (unlink(path) != 0 && errno != ENOENT)
		ereport(LOG,
				(errcode_for_file_access(),
				 errmsg("could not remove file \"%s\": %m", path)));
}

/* A record of this database by its file's name, or NULL. */
static RhDropRecord *
parse_name(const char *name)
{
	RhDropRecord *record = palloc(sizeof(RhDropRecord));
	unsigned int database;
	unsigned long long xid;
	struct stat status;
	int			end = 0;

	if (sscanf(name, "%u_%llu%n", &database, &xid, &end) != 2 || name[end] != '\0' ||
		database != MyDatabaseId)
		return NULL;
	record->path = psprintf(DIRECTORY "/%s", name);
	record->xid = FullTransactionIdFromU64(xid);
	if (stat(record->path, &status) != 0)
		return NULL;
	record->written_at = status.st_mtime;
	return record;
}

List *
rh_drop_records(void)
{
	struct stat status;
	List	   *records = NIL;
	DIR		   *directory;
	struct dirent *entry;

	if (stat(DIRECTORY, &status) != 0)
		return NIL;
	directory = AllocateDir(DIRECTORY);
	while ((entry = ReadDir(directory, DIRECTORY)) != NULL)
	{
		RhDropRecord *record = parse_name(entry->d_name);

		if (record != NULL)
			records = lappend(records, record);
	}
	FreeDir(directory);
	return records;
}

char *
rh_drop_record_read(const char *path)
{
	struct stat status;
	char	   *content;
	int			fd = OpenTransientFile(path, O_RDONLY | PG_BINARY);

	if (fd < 0 || fstat(fd, &status) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not open file \"%s\": %m", path)));
	content = palloc0(status.st_size + 1);
	if (read(fd, content, status.st_size) != status.st_size)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not read file \"%s\": %m", path)));
	CloseTransientFile(fd);
	return content;
}

bool
rh_drop_record_committed(const RhDropRecord *record)
{
	TransactionId xid = XidFromFullTransactionId(record->xid);

	/* one that the server does not know yet was lost in a crash, with all that it did */
	return FullTransactionIdPrecedes(record->xid, ReadNextFullTransactionId()) &&
		!TransactionIdIsInProgress(xid) && TransactionIdDidCommit(xid);
}
