/**
 * What the Prisma schema can't express: functions, CHECKs, triggers, foreign keys over several columns with an action of their own.
 * Each concept lists what its tables need. `npm run generate -- migration <name>` writes what was added or changed into the next
 * migration, and the drift check holds a migrated database against the models plus these lists.
 */
export type Statement = {
  /** Names it for good; a changed `create` under the same name replaces the former one. */
  name: string
  create: string
  /** Undoes it; used when it is changed or removed. Not used for a change when `create` begins with CREATE OR REPLACE. */
  drop: string
}

/** Made before the tables, which may use them in defaults. */
export const beforeTables: Statement[] = [
  {
    name: 'app_now',
    // Tests shift the time of one database by replacing this function.
    create: `CREATE OR REPLACE FUNCTION app_now() RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE AS 'SELECT now()';`,
    drop: 'DROP FUNCTION app_now();',
  },
]

/** Set to `on` within a transaction, no `updated_at` is stamped: what is written is no change that anybody made. */
export const unstamped = 'quayside.unstamped'

/** Made after the tables and before the statements of the concepts, which may use it. */
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

/** For tables with an `updated_at`: a change stamps it by the database's clock. */
export const stamped = (...tables: string[]): Statement[] =>
  tables.map((table) => ({
    name: `${table}_stamp`,
    create: `CREATE TRIGGER ${table}_stamp BEFORE UPDATE ON ${table} FOR EACH ROW EXECUTE FUNCTION stamp_updated_at();`,
    drop: `DROP TRIGGER ${table}_stamp ON ${table};`,
  }))

/** A CHECK named `<table>_<name>_check`. */
export const check = (table: string, name: string, condition: string): Statement => ({
  name: `${table}_${name}_check`,
  create: `ALTER TABLE ${table} ADD CONSTRAINT ${table}_${name}_check CHECK (${condition});`,
  drop: `ALTER TABLE ${table} DROP CONSTRAINT ${table}_${name}_check;`,
})
