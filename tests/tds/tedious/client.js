// tedious against tests/tds/tds_server: `node client.js PORT [TDS-VERSION]`. Prints the name of each test that passed.
'use strict';

const assert = require('node:assert');
const { Connection, Request, TYPES } = require('tedious');

const port = Number(process.argv[2]);
const version = process.argv[3] || '7_4';
const atLeast72 = version !== '7_1';

function connect(changes = {}) {
    const config = {
        server: '127.0.0.1',
        authentication: { type: 'default', options: { userName: 'sa', password: 'S\u00e4cret1', ...changes.authentication } },
        options: {
            port,
            encrypt: false,
            trustServerCertificate: true,
            database: 'pubs',
            tdsVersion: version,
            useUTC: true,
            appName: 'tedious \u{1f600}',
            requestTimeout: 20000,
            connectTimeout: 10000,
            ...changes.options,
        },
    };
    const connection = new Connection(config);
    connection.seen = [];
    for (const kind of ['infoMessage', 'errorMessage'])
        connection.on(kind, (message) => connection.seen.push(message));
    return new Promise((resolve, reject) => {
        connection.on('connect', (err) => (err ? reject(err) : resolve(connection)));
        connection.on('error', () => {});
        connection.connect();
    });
}

// How a request ends: its rows (arrays of values), counts, messages, error.
function run(connection, sql, { how = 'execSql', parameters = [], timeout, started } = {}) {
    return new Promise((resolve) => {
        const answer = { rows: [], columns: [], done: [] };
        const request = new Request(sql, (err, count) => {
            answer.error = err;
            answer.count = count;
            answer.messages = connection.seen.splice(0);
            resolve(answer);
        });
        for (const parameter of parameters)
            request.addParameter(...parameter);
        request.on('columnMetadata', (columns) => answer.columns.push(columns));
        request.on('row', (row) => answer.rows.push(row.map((column) => column.value)));
        for (const event of ['done', 'doneInProc', 'doneProc'])
            request.on(event, (...rest) => answer.done.push([event, rest[0]]));
        connection.seen.length = 0;
        if (timeout)
            request.setTimeout(timeout);
        connection[how](request);
        if (started)
            started(request, answer);
    });
}

const tests = {
    async login(connection) {
        const answer = await run(connection, 'login', { how: 'execSqlBatch' });
        assert.ifError(answer.error);
        assert.deepStrictEqual(answer.rows, [['sa', null, 'tedious \u{1f600}', 'pubs']]);
    },

    async every_type(connection) {
        const answer = await run(connection, 'types', { how: 'execSqlBatch' });
        assert.ifError(answer.error);
        assert.strictEqual(answer.count, 3);
        assert.deepStrictEqual(answer.columns[0].map((column) => column.colName), [...'ibftnrdgs']);
        assert.deepStrictEqual(answer.rows[0], [
            2147483647, '9223372036854775807', true, 'gr\u00fc\u00df \u{1f600}', 1e25, 37.5,
            new Date('2026-11-21T14:05:06.123Z'), '0E984725-C51C-4BF4-9960-E1C80E27ABA0', 'short',
        ]);
        assert.deepStrictEqual(answer.rows[1], [
            -2147483648, '-9223372036854775808', false, '', -42, -0.25,
            new Date('1753-01-01T00:00:00Z'), '00000000-0000-0000-0000-000000000001', '',
        ]);
        assert.deepStrictEqual(answer.rows[2], Array(9).fill(null));
    },

    async messages_between_results(connection) {
        for (const how of ['execSqlBatch', 'execSql']) {
            const answer = await run(connection, 'mixed', { how });
            assert.ifError(answer.error);
            assert.deepStrictEqual(answer.rows, [[1], [2]]);
            assert.deepStrictEqual(answer.messages.map((message) => [message.number, message.class, message.message]), [
                [3211, 0, '50 percent processed.'],
                [3211, 0, '100 percent processed.'],
                [3014, 0, 'BACKUP DATABASE successfully processed 1 pages.'],
            ]);
        }
    },

    async errors_arrive_whole(connection) {
        const answer = await run(connection, 'raise 3013 16 1 70000 BACKUP DATABASE is terminating.', { how: 'execSqlBatch' });
        assert.strictEqual(answer.error.number, 3013);
        assert.strictEqual(answer.error.class, 16);
        assert.strictEqual(answer.error.state, 1);
        assert.strictEqual(answer.error.lineNumber, atLeast72 ? 70000 : 70000 % 65536);
        assert.strictEqual(answer.error.serverName, 'STANDIN');
        assert.strictEqual(answer.error.procName, '');
        assert.strictEqual(answer.error.message, 'BACKUP DATABASE is terminating.');
    },

    async texts_longer_than_packets(connection) {
        const length = atLeast72 ? 100001 : 4000;
        const answer = await run(connection, `long ${length}`, { how: 'execSqlBatch' });
        const expected = '0123456789'.repeat(10001).slice(0, length);
        assert.strictEqual(answer.rows[0][0], expected);
        const echo = await run(connection, `echo ${expected}`, { how: 'execSqlBatch' });
        assert.strictEqual(echo.rows[0][0], expected);
    },

    async parameters_of_every_type(connection) {
        const moment = new Date('2026-11-21T14:05:06.123Z');
        const parameters = [
            ['n', TYPES.Int, -7],
            ['big', TYPES.BigInt, '9007199254740993'],
            ['tiny', TYPES.TinyInt, 255],
            ['bit', TYPES.Bit, true],
            ['real', TYPES.Real, 1.5],
            ['float', TYPES.Float, -0.1],
            ['decimal', TYPES.Decimal, -12.34, { precision: 20, scale: 3 }],
            ['money', TYPES.Money, -1234567890.25],
            ['smallmoney', TYPES.SmallMoney, 0.5],
            ['text', TYPES.NVarChar, 'gr\u00fc\u00df \u{1f600}'],
            ['empty', TYPES.NVarChar, ''],
            ['null', TYPES.NVarChar, null],
            ['long', TYPES.NVarChar, 'x'.repeat(atLeast72 ? 9000 : 3000)],
            ['char', TYPES.VarChar, 'caf\u00e9 \u20ac'],
            ['binary', TYPES.VarBinary, Buffer.from([0, 1, 254, 255])],
            ['guid', TYPES.UniqueIdentifier, '0e984725-c51c-4bf4-9960-e1c80e27aba0'],
            ['datetime', TYPES.DateTime, moment],
            ['smalldatetime', TYPES.SmallDateTime, moment],
        ];
        const expected = [
            ['@n', '-7'], ['@big', '9007199254740993'], ['@tiny', '255'], ['@bit', '1'], ['@real', '1.5'],
            ['@float', '-0.1'], ['@decimal', '-12.340'], ['@money', '-1234567890.2500'], ['@smallmoney', '0.5000'],
            ['@text', 'gr\u00fc\u00df \u{1f600}'], ['@empty', ''], ['@null', null], ['@long', 'x'.repeat(atLeast72 ? 9000 : 3000)],
            ['@char', 'caf\u00e9 \u20ac'], ['@binary', '0x0001FEFF'], ['@guid', '0E984725-C51C-4BF4-9960-E1C80E27ABA0'],
            ['@datetime', '2026-11-21 14:05:06.123'], ['@smalldatetime', '2026-11-21 14:05:00.000'],
        ];
        if (version >= '7_3') {
            parameters.push(['date', TYPES.Date, moment], ['time', TYPES.Time, moment, { scale: 3 }],
                ['datetime2', TYPES.DateTime2, moment, { scale: 7 }], ['offset', TYPES.DateTimeOffset, moment, { scale: 0 }]);
            expected.push(['@date', '2026-11-21'], ['@time', '14:05:06.123'], ['@datetime2', '2026-11-21 14:05:06.1230000']);
        }
        const answer = await run(connection, 'parameters', { parameters });
        assert.ifError(answer.error);
        const offset = version >= '7_3' ? answer.rows.pop() : ['@offset', '2026-11-21 14:05:06 +00:00'];
        assert.deepStrictEqual(answer.rows, expected);
        // The offset is that of the client's time zone.
        assert.strictEqual(offset[0], '@offset');
        const [day, time, zone] = offset[1].split(' ');
        assert.strictEqual(new Date(`${day}T${time}${zone}`).getTime(), Math.floor(moment.getTime() / 1000) * 1000);
    },

    async procedures(connection) {
        let answer = await run(connection, 'parameters', { how: 'callProcedure', parameters: [['a', TYPES.Int, 1]] });
        assert.ifError(answer.error);
        assert.deepStrictEqual(answer.rows, [['@a', '1']]);
        answer = await run(connection, 'sp_nothing', { how: 'callProcedure' });
        assert.strictEqual(answer.error.number, 2812);
        assert.strictEqual(answer.error.procName, 'sp_nothing');
    },

    async prepared_statements(connection) {
        await new Promise((resolve, reject) => {
            const rows = [];
            const request = new Request('parameters', (err) => (err ? reject(err) : undefined));
            request.addParameter('a', TYPES.Int);
            request.on('row', (row) => rows.push(row.map((column) => column.value)));
            request.on('prepared', () => connection.execute(request, { a: 5 }));
            request.once('requestCompleted', () => {
                request.once('requestCompleted', () => resolve(assert.deepStrictEqual(rows, [['@a', '5']])));
                setImmediate(() => connection.unprepare(request));
            });
            connection.prepare(request);
        });
        const error = await new Promise((resolve) => {
            const gone = new Request('x', resolve);
            gone.handle = 4711;
            connection.execute(gone, {});
        });
        assert.strictEqual(error.number, 8179);
    },

    async database_changes(connection) {
        const changes = [];
        connection.on('databaseChange', (name) => changes.push(name));
        const answer = await run(connection, 'use d\u00e4ta \u{1f600}', { how: 'execSqlBatch' });
        assert.ifError(answer.error);
        assert.deepStrictEqual(changes, ['d\u00e4ta \u{1f600}']);
        assert.deepStrictEqual(answer.messages.map((message) => message.number), [5701]);
    },

    async transactions(connection) {
        // Before 7.2 they are batches.
        if (!atLeast72)
            return;
        const step = (name) => new Promise((resolve) => connection[name]((err) => resolve(err)));
        assert.ifError(await step('beginTransaction'));
        assert.ifError(await step('commitTransaction'));
        assert.ifError(await step('beginTransaction'));
        assert.ifError(await step('rollbackTransaction'));
        assert.strictEqual((await step('commitTransaction')).number, 3902);
    },

    async reset(connection) {
        await new Promise((resolve, reject) => connection.reset((err) => (err ? reject(err) : resolve())));
        await tests.login(connection);
    },

    async cancelled_while_it_hangs(connection) {
        for (const how of ['execSqlBatch', 'execSql']) {
            const answer = await run(connection, 'hang', {
                how,
                started: () => connection.once('infoMessage', () => connection.cancel()),
            });
            assert.strictEqual(answer.error.code, 'ECANCEL');
            await tests.login(connection);
        }
    },

    async cancelled_while_rows_flow(connection) {
        const answer = await run(connection, 'flood', {
            how: 'execSqlBatch',
            started: (request) => request.on('row', (row) => row[0].value === 1000 && connection.cancel()),
        });
        assert.strictEqual(answer.error.code, 'ECANCEL');
        await tests.login(connection);
    },

    async cancelled_while_it_is_sent(connection) {
        const answer = await run(connection, `echo ${'x'.repeat(500000)}`, {
            how: 'execSqlBatch',
            started: () => connection.cancel(),
        });
        assert.strictEqual(answer.error.code, 'ECANCEL');
        await tests.login(connection);
    },

    async timeout_of_a_request(connection) {
        const answer = await run(connection, 'silent', {
            how: 'execSqlBatch',
            timeout: 50,
        });
        assert.strictEqual(answer.error.code, 'ETIMEOUT');
        await tests.login(connection);
    },
};

async function expectRefusal(changes, code, pattern) {
    await assert.rejects(connect(changes), (err) => {
        assert.strictEqual(err.code, code);
        assert.match(err.message, pattern);
        return true;
    });
}

async function main() {
    for (const packetSize of [4096, 512, 32767]) {
        const connection = await connect({ options: { packetSize } });
        for (const [name, test] of Object.entries(tests)) {
            await test(connection);
            console.log(`${name}, packets of ${packetSize} bytes`);
        }
        connection.close();
    }
    await expectRefusal({ authentication: { password: 'wrong' } }, 'ELOGIN', /Login failed for user 'sa'/);
    console.log('a wrong password');
    await expectRefusal({ options: { encrypt: true } }, 'ELOGIN', /Encryption is not offered/);
    console.log('encryption insisted on');
    const connection = await connect();
    const answer = await run(connection, 'die', { how: 'execSqlBatch' });
    assert.ok(answer.error);
    console.log('a server that dies');
}

main().catch((err) => {
    console.error(err);
    process.exit(1);
});
