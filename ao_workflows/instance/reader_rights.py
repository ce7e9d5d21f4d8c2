"""What PostgreSQL lets the user of the archivists' page do: read Dagster's tables, and keep nobody else from working.

What belongs here: that, in SQL. What does not: when it is said (``storage_reader``).

PostgreSQL lets everyone do a good deal more than read: in its own databases too, to which everyone may connect.
"""

USER = "dagster_viewer"

MAKE = f"""
DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{USER}') THEN CREATE ROLE {USER}; END IF; END $$;
ALTER ROLE {USER} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS CONNECTION LIMIT 30 PASSWORD '%s'
"""
"""Makes the user, where it is missing, with what PostgreSQL stores of its password."""

READ = f"""
GRANT SELECT ON ALL TABLES IN SCHEMA public TO {USER};
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO {USER};
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
DO $$ BEGIN EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database()); END $$;
"""  # noqa: S608 - the name is the one above
"""What the owner of the tables can say."""

HARM_NOBODY = (
    # Each would fill the disk: objects, and what goes into the write-ahead log.
    "REVOKE EXECUTE ON FUNCTION lo_creat(int), lo_create(oid), lo_from_bytea(oid, bytea) FROM PUBLIC",
    """
DO $$ DECLARE each regprocedure; BEGIN
  FOR each IN SELECT oid FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace
    AND (proname ~ '^pg_(try_)?advisory.*lock' OR proname = 'pg_logical_emit_message')
  LOOP EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', each); END LOOP;
END $$
""",  # with the locks of one query there are none left for anybody, and nobody can connect
    "REVOKE CONNECT, TEMPORARY ON DATABASE postgres, template1 FROM PUBLIC",
    f"ALTER ROLE {USER} SET temp_file_limit = '1GB'",  # of what a query sorts; only a superuser may change it
)
"""What a superuser alone can say; each is tried, so that one which is refused keeps no other back."""
