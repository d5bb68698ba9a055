// Inserts rows by DATABASE_URL and increments a key by REDIS_URL all the time. Answers with the numbers of successes and of failures.
const http = require('node:http')
const { setTimeout: pause } = require('node:timers/promises')
const { Redis } = require('ioredis')
const pg = require('pg')

const { DATABASE_URL, REDIS_URL, PORT, HOST } = process.env
console.log(`connects to ${DATABASE_URL} and ${REDIS_URL}`)

const counts = { inserts: 0, increments: 0, failures: 0, lastFailure: null }
const failed = (error) => {
  counts.failures++
  counts.lastFailure = error.message
}

const pool = new pg.Pool({ connectionString: DATABASE_URL, max: 1 })
pool.on('error', failed)
const redis = new Redis(REDIS_URL, { maxRetriesPerRequest: 0 })
redis.on('error', failed)

async function repeat(name, act) {
  for (;;) {
    try {
      await act()
      counts[name]++
    } catch (error) {
      failed(error)
    }
    await pause(5)
  }
}

async function main() {
  await pool.query('create table if not exists hits (n int generated always as identity)')
  repeat('inserts', () => pool.query('insert into hits default values'))
  repeat('increments', () => redis.incr('hits'))
  http.createServer((_request, response) => response.end(JSON.stringify(counts))).listen(PORT, HOST)
}

main()
