/**
 * Schema objects that Prisma can't express: functions, CHECK constraints, triggers, and multi-column foreign keys with referential actions.
 * Each concept lists those of its tables. `npm run generate -- migration <name>` writes additions and changes to the next migration, and the
 * drift check compares a migrated database with the models and these lists.
 */
export type Statement = {
  /** Permanent name. A changed `create` with the same name replaces the former one. */
  name: string
  create: string
  /** Drops the object when it is changed or removed. Not used for a change if `create` begins with CREATE OR REPLACE. */
  drop: string
}

/** Created before the tables, which may use them in defaults. */
export const beforeTables: Statement[] = [
  {
    name: 'app_now',
    // Tests shift the time of one database by replacing this function.
    create: `CREATE OR REPLACE FUNCTION app_now() RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE AS 'SELECT now()';`,
    drop: 'DROP FUNCTION app_now();',
  },
]

/** If this is set to `on` in a transaction, `updated_at` is not stamped: its writes are no changes by a user. */
export const unstamped = 'quayside.unstamped'

/** Created after the tables and before the statements of the concepts, which may use them. */
export const afterTables: Statement[] = [
  {
    name: 'stamp_updated_at',
    create: `CREATE OR REPLACE FUNCTION stamp_updated_at() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF current_setting('${unstamped}', true) IS DISTINCT FROM 'on' THEN
    NEW.updated_at := app_now();
  END IF;
  RETURN NEW;
END $$;`,
    drop: 'DROP FUNCTION stamp_updated_at();',
  },
]

/** Trigger for tables with `updated_at`, which sets it by the database's clock on every update. */
export const stamped = (...tables: string[]): Statement[] =>
  tables.map((table) => ({
    name: `${table}_stamp`,
    create: `CREATE TRIGGER ${table}_stamp BEFORE UPDATE ON ${table} FOR EACH ROW EXECUTE FUNCTION stamp_updated_at();`,
    drop: `DROP TRIGGER ${table}_stamp ON ${table};`,
  }))

/** The same for a table with counters: only an update that sets `version` is a change by a user. */
export const stampedByVersion = (table: string): Statement => ({
  name: `${table}_stamp`,
  create: `CREATE TRIGGER ${table}_stamp BEFORE UPDATE OF version ON ${table} FOR EACH ROW EXECUTE FUNCTION stamp_updated_at();`,
  drop: `DROP TRIGGER ${table}_stamp ON ${table};`,
})

/** A foreign key within an organization that clears one column when the row it refers to is deleted. Models can only clear all columns. */
export const clearedReference = (table: string, column: string, target: string): Statement => ({
  name: `${table}_${column}_fkey`,
  create: `ALTER TABLE ${table} ADD CONSTRAINT ${table}_${column}_fkey FOREIGN KEY (organization_id, ${column}) REFERENCES ${target} (organization_id, id) ON DELETE SET NULL (${column});`,
  drop: `ALTER TABLE ${table} DROP CONSTRAINT ${table}_${column}_fkey;`,
})

/** A CHECK constraint named `<table>_<name>_check`. */
export const check = (table: string, name: string, condition: string): Statement => ({
  name: `${table}_${name}_check`,
  create: `ALTER TABLE ${table} ADD CONSTRAINT ${table}_${name}_check CHECK (${condition});`,
  drop: `ALTER TABLE ${table} DROP CONSTRAINT ${table}_${name}_check;`,
})
