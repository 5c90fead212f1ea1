import java.net.InetAddress;

class First {
    public static void main(String[] arguments) throws Exception {
        java.security.Security.setProperty("networkaddress.cache.ttl", "0");
        for (int i = Integer.parseInt(arguments[1]); i > 0; i--)
            System.out.println(InetAddress.getAllByName(arguments[0])[0].getHostAddress());
    }
}
