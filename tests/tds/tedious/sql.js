// A batch by tedious, shown much as sqlcmd does: `node sql.js PORT USER BATCH [OPTION...]`; the password is $SQLCMDPASSWORD.
//
//   --call             as a call of sp_executesql
//   --parameter N=V    with that parameter, an nvarchar, which makes it a call
//   --cancel-at TEXT   cancelled at the first message that holds TEXT, and then asked whether the connection still serves
//
// Messages come out as they arrive, rows with | between their values. Status 0, or 1 when there was an error.
'use strict';

const { parseArgs } = require('node:util');
const { Connection, Request, TYPES } = require('tedious');

const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
        call: { type: 'boolean', default: false },
        parameter: { type: 'string', multiple: true, default: [] },
        'cancel-at': { type: 'string' },
    },
});
const [port, user, batch] = positionals;

const connection = new Connection({
    server: '127.0.0.1',
    authentication: { type: 'default', options: { userName: user, password: process.env.SQLCMDPASSWORD } },
    options: { port: Number(port), encrypt: false, appName: 'sql.js', requestTimeout: 0, connectTimeout: 20000 },
});

function show(message) {
    if (message.class > 10)
        console.log(`Msg ${message.number}, Level ${message.class}, State ${message.state}, Server ${message.serverName}, `
            + `Line ${message.lineNumber}`);
    console.log(message.message);
}

function run(sql, done) {
    const request = new Request(sql, done);
    const cancelled = (message) => {
        if (values['cancel-at'] && message.message.includes(values['cancel-at']) && connection.cancel())
            console.log('cancelling');
    };
    for (const parameter of values.parameter)
        request.addParameter(parameter.slice(0, parameter.indexOf('=')), TYPES.NVarChar,
            parameter.slice(parameter.indexOf('=') + 1));
    request.on('row', (row) => console.log(row.map((column) => column.value).join('|')));
    connection.removeAllListeners('infoMessage');
    connection.on('infoMessage', show);
    connection.on('infoMessage', cancelled);
    connection[values.call || values.parameter.length > 0 ? 'execSql' : 'execSqlBatch'](request);
}

function finish(err) {
    if (err && !(err.number > 0) && !err.errors)
        console.log(`${err.code}: ${err.message}`);
    process.exitCode = err ? 1 : 0;
    connection.close();
}

connection.on('errorMessage', show);
connection.on('connect', (err) => {
    if (err)
        return finish(err);
    run(batch, (failure) => {
        if (!failure || failure.code !== 'ECANCEL')
            return finish(failure);
        console.log('cancelled');
        delete values['cancel-at'];
        run('SELECT @@SERVERNAME', finish);
    });
});
connection.connect();
