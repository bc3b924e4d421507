// A backup tool in JavaScript: `node backup.js PORT PASSWORD DATABASE SET`. Logs in, asks what such tools ask, runs BACKUP with
// a client of SET that somebody else is, and prints what the server said, one JSON value a line.
'use strict';

const { Connection, Request, TYPES } = require('tedious');

const [port, password, database, set] = process.argv.slice(2);

const connection = new Connection({
    server: '127.0.0.1',
    authentication: { type: 'default', options: { userName: 'sa', password } },
    options: { port: Number(port), encrypt: false, trustServerCertificate: true, requestTimeout: 20000, useUTC: false },
});

function run(how, sql, parameters = []) {
    return new Promise((resolve, reject) => {
        const rows = [];
        const request = new Request(sql, (err) => (err ? reject(err) : resolve(rows)));
        for (const parameter of parameters)
            request.addParameter(...parameter);
        request.on('row', (columns) => rows.push(Object.fromEntries(columns.map((c) => [c.metadata.colName, c.value]))));
        connection[how](request);
    });
}

const print = (value) => console.log(JSON.stringify(value));

async function main() {
    print(await run('execSql', 'SELECT name, state_desc AS state FROM sys.databases WHERE name = @name AND database_id > @id', [
        ['name', TYPES.NVarChar, database],
        ['id', TYPES.Int, 4],
    ]));
    connection.on('infoMessage', (message) => print([message.number, message.message.replace(/[0-9.]+ /g, 'N ')]));
    await run('execSqlBatch', `BACKUP DATABASE [${database}] TO VIRTUAL_DEVICE = N'${set}' WITH STATS = 50, COPY_ONLY`);
    const [record] = await run('execSql', `SELECT TOP (1) b.type, b.backup_size, b.first_lsn, b.backup_finish_date, b.backup_set_uuid
        FROM msdb.dbo.backupset b JOIN msdb.dbo.backupmediafamily f ON b.media_set_id = f.media_set_id
        WHERE f.physical_device_name = @set ORDER BY b.backup_finish_date DESC`, [['set', TYPES.NVarChar, set]]);
    const age = Date.now() - record.backup_finish_date.getTime();
    print([record.type, record.backup_size, typeof record.first_lsn, age >= -1000 && age < 60000, record.backup_set_uuid.length]);
    await run('execSqlBatch', 'BACKUP DATABASE nosuch TO VIRTUAL_DEVICE = N\'x\'').catch((err) =>
        print(err.errors.map((one) => [one.number, one.message])));
}

connection.on('connect', (err) => {
    if (err)
        throw err;
    main().finally(() => connection.close());
});
connection.connect();
