/** JSON-RPC over the tables: a model is its table. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { addAttachment, readUsers } from './database.mjs'
import { traceback } from './log.mjs'

class Raised extends Error {
  constructor(exception, message) {
    super(message)
    this.exception = exception
  }
}

const raise = (exception, message) => {
  throw new Raised(exception, message)
}

/** The envelope of an answer. Always 200, with the exception in it. */
export async function answerRpc(server, { id, params }) {
  try {
    return { jsonrpc: '2.0', id, result: (await service(server, params)) ?? null }
  } catch (error) {
    const name = error.exception ?? (error.code ? 'psycopg2.errors.UndefinedColumn' : 'builtins.Exception')
    const data = { name, message: error.message, arguments: [error.message], context: {}, debug: traceback(`${name}: ${error.message}`) }
    return { jsonrpc: '2.0', id, error: { code: 200, message: 'Odoo Server Error', data } }
  }
}

async function service(server, { service: name, method, args }) {
  if (name === 'common' && method === 'version')
    return { server_version: '17.0', server_version_info: [17, 0, 0, 'final', 0, ''], server_serie: '17.0', protocol_version: 1 }
  if (name === 'common' && (method === 'authenticate' || method === 'login')) return authenticate(server, args)
  if (name !== 'object' || method !== 'execute_kw') raise('builtins.KeyError', `'${name}'`)
  const [database, uid, password, model, call, given = [], kwargs = {}] = args
  demandDatabase(server, database)
  const [user] = await readUsers(server.db, server.modules, 'id = $1', [uid])
  if (user?.password !== password) raise('odoo.exceptions.AccessDenied', 'Access Denied')
  return execute(server, model, call, given, kwargs)
}

function demandDatabase({ options }, name) {
  if (name !== options.db_name) raise('psycopg2.OperationalError', `FATAL:  database "${name}" does not exist\n`)
}

async function authenticate(server, [database, login, password]) {
  demandDatabase(server, database)
  const [user] = await readUsers(server.db, server.modules, 'login = $1', [login])
  return user?.password === password ? user.id : false
}

async function execute(server, model, method, args, kwargs) {
  const { db, options } = server
  if (method.startsWith('_'))
    raise('odoo.exceptions.AccessError', `Private methods (such as '${model}.${method}') cannot be called remotely.`)
  const table = model.replaceAll('.', '_')
  const { rows: known } = await db.query(
    "select column_name as name from information_schema.columns where table_schema = 'public' and table_name = $1",
    [table],
  )
  if (known.length === 0) raise('odoo.exceptions.UserError', `Object ${model} doesn't exist`)
  const columns = new Set(known.map(({ name }) => name))
  const quoted = (name) => (columns.has(name) ? `"${name}"` : raise('builtins.ValueError', `Invalid field '${name}' on model '${model}'`))
  const where = (domain = []) => {
    const terms = domain.filter(Array.isArray)
    return {
      text: ['true', ...terms.map(([name], at) => `${quoted(name)} = $${at + 1}`)].join(' and '),
      values: terms.map((term) => term[2]),
    }
  }
  const read = async (text, values, fields) => {
    const names = fields?.length ? ['id', ...fields.filter((name) => name !== 'id' && name !== 'datas')] : [...columns]
    const { rows } = await db.query(
      `select ${[...names, ...(fields?.includes('datas') ? ['store_fname'] : [])].map(quoted).join(', ')} from "${table}" where ${text} order by id`,
      values,
    )
    if (!fields?.includes('datas')) return rows
    return rows.map(({ store_fname: file, ...row }) => ({
      ...row,
      datas: readFileSync(join(options.data_dir, 'filestore', options.db_name, file)).toString('base64'),
    }))
  }
  const found = method.startsWith('search') ? where(args[0] ?? kwargs.domain) : where()
  const methods = {
    search_count: async () => (await db.query(`select count(*)::int as n from "${table}" where ${found.text}`, found.values)).rows[0].n,
    search: async () => (await read(found.text, found.values, ['id'])).map(({ id }) => id),
    search_read: () => read(found.text, found.values, args[1] ?? kwargs.fields),
    read: () => read('id = any($1)', [[args[0]].flat()], args[1] ?? kwargs.fields),
    async create() {
      const { datas, ...values } = args[0]
      if (model === 'ir.attachment') return addAttachment(db, options, values.name, Buffer.from(datas, 'base64'))
      const names = Object.keys(values)
      const { rows } = await db.query(
        `insert into "${table}" (${names.map(quoted).join(', ')}) values (${names.map((_, at) => `$${at + 1}`).join(', ')}) returning id`,
        Object.values(values),
      )
      return rows[0].id
    },
    async write() {
      const names = Object.keys(args[1])
      const set = names.map((name, at) => `${quoted(name)} = $${at + 2}`).join(', ')
      await db.query(`update "${table}" set ${set} where id = any($1)`, [[args[0]].flat(), ...Object.values(args[1])])
      return true
    },
    async unlink() {
      await db.query(`delete from "${table}" where id = any($1)`, [[args[0]].flat()])
      return true
    },
    get_param: async () => (await db.query('select value from ir_config_parameter where key = $1', [args[0]])).rows[0]?.value ?? false,
  }
  const run = Object.hasOwn(methods, method)
    ? methods[method]
    : raise('builtins.AttributeError', `type object '${model}' has no attribute '${method}'`)
  return run()
}
