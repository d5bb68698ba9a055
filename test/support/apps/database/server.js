const http = require('node:http')
const pg = require('pg')

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL })
const statements = {
  '/write': 'create table if not exists orders (n int); insert into orders select generate_series(1, 1000)',
  '/drop': 'drop table orders',
  '/count': 'select count(*)::int as n from orders',
}

http
  .createServer(async (request, response) => {
    try {
      const statement = statements[request.url]
      const answer = statement ? await pool.query(statement) : null
      response.end(answer?.rows?.length ? String(answer.rows[0].n) : 'done')
    } catch (error) {
      response.writeHead(500)
      response.end(error.message)
    }
  })
  .listen(process.env.PORT, process.env.HOST)
