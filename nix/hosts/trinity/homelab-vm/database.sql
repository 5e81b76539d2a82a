-- Roles of database `apps`: what accounts may, and who makes them. Safe to repeat; run as PostgreSQL's own administrator.
\set ON_ERROR_STOP on
\set password `cat "$CREDENTIALS_DIRECTORY/apps-database-password"`

SELECT format('CREATE ROLE %I %s', name, options)
FROM (VALUES ('apps', 'NOLOGIN'), ('apps_readonly', 'NOLOGIN'), ('openbao', 'LOGIN CREATEROLE')) AS wanted (name, options)
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name)
\gexec
-- The first password only: OpenBao replaces it by one that nobody else knows.
SELECT format('ALTER ROLE openbao PASSWORD %L', :'password')
WHERE EXISTS (SELECT FROM pg_authid WHERE rolname = 'openbao' AND rolpassword IS NULL)
\gexec

-- It gives roles to the accounts that it makes, and takes what they leave behind.
GRANT apps TO openbao WITH ADMIN TRUE, INHERIT TRUE, SET TRUE;
GRANT apps_readonly TO openbao WITH ADMIN TRUE, INHERIT FALSE, SET FALSE;
ALTER ROLE openbao SET createrole_self_grant = 'inherit';

ALTER DATABASE apps OWNER TO apps;
REVOKE ALL ON DATABASE apps FROM PUBLIC;
GRANT CONNECT ON DATABASE apps TO apps_readonly, openbao;
ALTER SCHEMA public OWNER TO apps;
GRANT USAGE ON SCHEMA public TO apps_readonly;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO apps_readonly;
ALTER DEFAULT PRIVILEGES FOR ROLE apps IN SCHEMA public GRANT SELECT ON TABLES TO apps_readonly;
